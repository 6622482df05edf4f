"use strict";
// The live page: rows of all streams, tiles of those on the screen, one stream's own page.
// Text from the log is only ever set as textContent.

const byId = (id) => document.getElementById(id);
const PICTURE_MS = 1000; // at most one picture of a tile in this time
const BAD = new Set(["stalled", "frozen", "refused", "unknown", "no predictions"]);
const rows = new Map(); // stream -> [state, label]
const tiles = new Map(); // stream -> {item, parts, shown, pictureAt, picture}
const seen = new Set();
const colours = new Map(); // label -> 0..7, in the order of their appearance
let watcher = null;
let detail = null;
let lookTimer = 0;

function colour(label) {
  if (!colours.has(label)) colours.set(label, colours.size % 8);
  return colours.get(label);
}

function paint(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function seconds(value) {
  if (value === null) return "never";
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showState(element, state) {
  set(element, state);
  element.className = `state ${state === "live" ? "good" : BAD.has(state) ? "bad" : ""}`;
}

// ---- the wall

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) seen.add(entry.target.dataset.stream);
    else seen.delete(entry.target.dataset.stream);
  }
  lookSoon();
}, { rootMargin: "100px" });

function makeTile(name) {
  const item = byId("tile").content.firstElementChild.cloneNode(true);
  const part = (kind) => item.querySelector(kind);
  item.dataset.stream = name;
  part(".tile").href = `#/stream/${encodeURIComponent(name)}`;
  part(".name").textContent = name;
  part(".name").title = name;
  const parts = {
    image: part("img"), none: part(".none"), old: part(".old"), state: part(".state"),
    label: part(".label"), confidence: part(".confidence"), strip: part("canvas"),
    facts: part(".facts"), reason: part(".reason"), tile: part(".tile"),
  };
  parts.image.addEventListener("error", () => { parts.image.hidden = true; parts.none.hidden = false; set(parts.none, "its picture cannot be shown"); });
  parts.image.addEventListener("load", () => { parts.image.hidden = false; parts.none.hidden = true; });
  const made = { item, parts, pictureAt: 0, picture: null };
  tiles.set(name, made);
  sight.observe(item);
  return made;
}

function place(name, item) {
  const list = byId("tiles");
  const names = [...list.children];
  const after = names.find((one) => one.dataset.stream > name);
  list.insertBefore(item, after || null);
}

function matches(name) {
  const [state, label] = rows.get(name);
  const words = byId("search").value.trim().toLowerCase();
  const wanted = byId("state").value;
  const wantedLabel = byId("label").value;
  if (words && !name.toLowerCase().includes(words) && !label.toLowerCase().includes(words)) return false;
  if (wanted === "!live" ? state === "live" : wanted && state !== wanted) return false;
  return !wantedLabel || label === wantedLabel;
}

function filter() {
  let shown = 0;
  for (const [name, tile] of tiles) {
    const fits = matches(name);
    if (tile.item.hidden === fits) tile.item.hidden = !fits;
    shown += fits;
  }
  set(byId("count"), shown === rows.size ? "" : `${shown} of ${rows.size} shown`);
  byId("nothing").hidden = rows.size > 0;
}

function choices(select, values) {
  const fixed = select.id === "state" ? 2 : 1;
  const chosen = select.value;
  const wanted = [...values].sort();
  const present = [...select.options].slice(fixed).map((one) => one.value);
  if (wanted.join("\n") === present.join("\n")) return;
  while (select.options.length > fixed) select.remove(fixed);
  for (const value of wanted) select.add(new Option(value, value));
  if (chosen && ![...select.options].some((one) => one.value === chosen)) select.add(new Option(chosen, chosen));
  select.value = chosen;
}

function takeRows(said) {
  for (const name of said.gone) {
    rows.delete(name);
    const tile = tiles.get(name);
    if (tile) { sight.unobserve(tile.item); tile.item.remove(); tiles.delete(name); seen.delete(name); }
  }
  for (const [name, row] of Object.entries(said.changed)) {
    rows.set(name, row);
    if (!tiles.has(name)) place(name, makeTile(name).item);
    showState(tiles.get(name).parts.state, row[0]);
  }
  if (said.gone.length || Object.keys(said.changed).length) {
    choices(byId("state"), new Set([...rows.values()].map((row) => row[0])));
    choices(byId("label"), new Set([...rows.values()].map((row) => row[1]).filter(Boolean)));
    filter();
  }
  byId("nothing").hidden = rows.size > 0;
  const live = [...rows.values()].filter((row) => row[0] === "live").length;
  const extra = said.forgotten ? `, ${said.forgotten} more forgotten: too many` : "";
  const odd = said.unreadable ? `, ${said.unreadable} records unreadable` : "";
  set(byId("summary"), `${live} of ${rows.size} streams live${extra}${odd}`);
  trouble(troubleWords(said.troubles));
}

// One sentence for each reason: a broker that is away is the reason of all topics.
function troubleWords(troubles) {
  const topics = new Map();
  for (const one of troubles) topics.set(one.why, [...(topics.get(one.why) || []), one.topic]);
  const named = (names) => (names.length > 1 ? "Topics " : "Topic ") + names.join(", ");
  return [...topics].map(([why, names]) => `${named(names)}: ${why}.`).join(" ");
}

function trouble(words) {
  set(byId("trouble"), words);
  byId("trouble").hidden = !words;
}

function drawStrip(canvas, labels) {
  const key = labels.join("\n");
  if (canvas.dataset.key === key) return;
  canvas.dataset.key = key;
  canvas.width = 240;
  canvas.height = 12;
  const pen = canvas.getContext("2d");
  pen.fillStyle = paint("--empty");
  pen.fillRect(0, 0, 240, 12);
  const counts = new Map();
  labels.forEach((label, index) => {
    if (label === null) return;
    counts.set(label, (counts.get(label) || 0) + 1);
    pen.fillStyle = paint(`--l${colour(label)}`);
    pen.fillRect((index * 240) / labels.length, 0, 240 / labels.length, 12);
  });
  const words = [...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => `${label} ${count} s`);
  canvas.setAttribute("aria-label", `Labels of the last minute: ${words.join(", ") || "none"}`);
}

function memoryWords(tile) {
  if (tile.frames === null) return "no prediction yet";
  const resets = tile.resets ? `, ${tile.resets} ${tile.resets === 1 ? "reset" : "resets"} seen` : "";
  return `remembers ${tile.frames} frames${resets}`;
}

function ageWords(tile) {
  if (tile.silent_s === null) return "";
  return tile.silent_s > 3 ? `last prediction ${seconds(tile.silent_s)} ago` : `${tile.behind_s.toFixed(2)} s old`;
}

function takeTile(said) {
  const tile = tiles.get(said.stream);
  if (!tile) return;
  const { parts } = tile;
  parts.tile.classList.toggle("away", said.state !== "live");
  showState(parts.state, said.state);
  set(parts.reason, said.reason);
  set(parts.label, said.label);
  set(parts.confidence, said.confidence === null ? "" : `${Math.round(said.confidence * 100)} %`);
  set(parts.facts, [`${said.fps.toFixed(1)} fps`, ageWords(said), memoryWords(said)].filter(Boolean).join(" · "));
  drawStrip(parts.strip, said.strip);
  const old = said.picture_s !== null && (said.keyframe || said.picture_s > 3);
  parts.old.hidden = !old;
  if (old) set(parts.old, `${said.keyframe ? "keyframe, " : ""}${seconds(said.picture_s)} old`);
  if (said.picture === null) { parts.image.hidden = true; parts.none.hidden = false; set(parts.none, "no picture yet"); }
  const now = performance.now();
  if (said.picture !== null && said.picture !== tile.picture && now - tile.pictureAt >= PICTURE_MS) {
    tile.picture = said.picture;
    tile.pictureAt = now;
    parts.image.src = `/picture/tile/${encodeURIComponent(said.stream)}?${said.picture}`;
  }
}

// ---- one stream's own page

let largeAt = 0;

function fact(list, name, value) {
  const term = document.createElement("dt");
  const said = document.createElement("dd");
  term.textContent = name;
  said.textContent = value;
  list.append(term, said);
}

function takeDetail(said) {
  if (said.stream !== detail) return;
  if (said.state === undefined) {
    showState(byId("now-state"), "not seen");
    set(byId("now-reason"), "No frame and no prediction of this stream has come since the page's server began.");
    return;
  }
  showState(byId("now-state"), said.state);
  set(byId("now-reason"), said.reason);
  set(byId("now-label"), said.label);
  set(byId("now-confidence"), said.confidence === null ? "" : `${(said.confidence * 100).toFixed(1)} %`);
  const list = byId("facts");
  list.replaceChildren();
  fact(list, "prediction", said.captured_at === null ? "none yet" : `${ageWords(said)}, of the frame captured ${said.captured_at}`);
  fact(list, "frames", `${said.fps.toFixed(1)} a second`);
  fact(list, "memory", said.frames === null ? "unknown" : `${memoryWords(said)}, ${seconds(said.memory_s)}`);
  fact(list, "place in the log", said.partition === null ? "unknown" : `partition ${said.partition} offset ${said.offset}`);
  fact(list, "chain", said.chain === null ? "unknown" : said.chain);
  if (said.model) fact(list, "model", said.model);
  if (said.process) fact(list, "camera process", said.process);
  for (const [fate, count] of Object.entries(said.fates)) fact(list, `camera: ${fate}`, String(count));
  byId("copy").dataset.place = said.partition === null ? "" : `stream ${said.stream} partition ${said.partition} offset ${said.offset} chain ${said.chain}`;
  showLarge(said);
  drawScores(said.moments);
  showMarks(said);
}

function showLarge(said) {
  const image = byId("large");
  byId("no-picture").hidden = said.picture !== null && !image.hidden;
  if (said.picture === null) { image.hidden = true; return; }
  set(byId("large-words"), `${said.keyframe ? "last keyframe of its H.264, " : "newest picture, "}${seconds(said.picture_s)} old`);
  const now = performance.now();
  if (image.dataset.picture === said.picture || now - largeAt < PICTURE_MS) return;
  largeAt = now;
  image.dataset.picture = said.picture;
  image.alt = `Newest picture of ${said.stream}`;
  image.src = `/picture/page/${encodeURIComponent(said.stream)}?${said.picture}`;
}

function drawScores(moments) {
  const canvas = byId("scores");
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const left = 38, top = 10, right = width - 10, bottom = height - 22;
  pen.font = "12px system-ui, sans-serif";
  pen.strokeStyle = paint("--line");
  pen.fillStyle = paint("--soft");
  for (const share of [0, 0.5, 1]) {
    const y = bottom - share * (bottom - top);
    pen.beginPath(); pen.moveTo(left, y); pen.lineTo(right, y); pen.stroke();
    pen.fillText(share.toFixed(1), 10, y + 4);
  }
  pen.fillText("3 min ago", left, height - 6);
  pen.fillText("now", right - 24, height - 6);
  if (!moments.length) return;
  const newest = moments[moments.length - 1][0];
  const lines = new Map();
  for (const [second, , , , , scores] of moments) {
    for (const [label, score] of scores) {
      if (!lines.has(label)) lines.set(label, []);
      lines.get(label).push([right - ((newest - second) / 180) * (right - left), bottom - score * (bottom - top), second]);
    }
  }
  pen.lineWidth = 2;
  for (const [label, points] of lines) {
    pen.strokeStyle = paint(`--l${colour(label)}`);
    pen.beginPath();
    points.forEach(([x, y, second], index) => {
      if (index && second - points[index - 1][2] <= 3) pen.lineTo(x, y);
      else pen.moveTo(x, y);
    });
    pen.stroke();
  }
  const last = new Map(moments[moments.length - 1][5]);
  const names = [...lines.keys()].sort();
  byId("legend").replaceChildren(...names.map((label) => {
    const entry = document.createElement("li");
    const mark = document.createElement("i");
    mark.className = `l${colour(label)}`;
    entry.append(mark, `${label} ${last.has(label) ? last.get(label).toFixed(2) : "–"}`);
    return entry;
  }));
  canvas.setAttribute("aria-label", `Scores over three minutes; now ${names.map((label) => `${label} ${last.has(label) ? last.get(label).toFixed(2) : "unknown"}`).join(", ")}`);
}

function showMarks(said) {
  set(byId("marks-words"), `${said.resets} resets and ${said.breaks} breaks of the chain since the page's server began.`);
  const key = said.marks.map((one) => one.place).join();
  const body = byId("marks");
  if (body.dataset.key === key) return;
  body.dataset.key = key;
  body.replaceChildren(...said.marks.map((one) => {
    const row = document.createElement("tr");
    const cells = [one.at, one.what, one.frames === null ? "unknown" : String(one.frames), one.place, one.chain];
    row.append(...cells.map((text, index) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      if (index === 1 && one.broken) cell.className = "broken";
      return cell;
    }));
    return row;
  }));
}

function route() {
  const before = detail;
  const found = /^#\/stream\/(.+)$/.exec(location.hash);
  try { detail = found ? decodeURIComponent(found[1]) : null; } catch { detail = null; }
  byId("wall").hidden = detail !== null;
  byId("stream").hidden = detail === null;
  document.title = detail === null ? "longtake live" : `${detail} · longtake live`;
  if (detail !== null) {
    set(byId("name"), detail);
    for (const id of ["now-label", "now-confidence", "now-reason", "large-words", "copied"]) set(byId(id), "");
    for (const id of ["facts", "legend", "marks"]) byId(id).replaceChildren();
    byId("marks").dataset.key = "none";
    const image = byId("large");
    image.hidden = true;
    image.dataset.picture = "";
    largeAt = 0;
    byId("name").focus();
  } else if (before !== null && tiles.has(before)) {
    tiles.get(before).parts.tile.focus();
  }
  look();
}

// ---- talking with the server

function lookSoon() {
  clearTimeout(lookTimer);
  lookTimer = setTimeout(look, 100);
}

function look() {
  if (watcher === null) return;
  const visible = detail !== null || document.hidden ? [] : [...seen].filter((name) => tiles.has(name)).slice(0, 100);
  const body = JSON.stringify({ watcher, visible, open: document.hidden ? null : detail });
  fetch("/look", { method: "POST", body }).catch(() => {});
}

function connect() {
  const events = new EventSource("/events");
  events.addEventListener("hello", (said) => {
    watcher = JSON.parse(said.data).watcher;
    for (const name of rows.keys()) fresh.add(name);
    look();
  });
  events.addEventListener("rows", (said) => {
    const content = JSON.parse(said.data);
    if (fresh.size) { // the first rows of a new connection name all that there are
      for (const name of fresh) if (!(name in content.changed)) content.gone.push(name);
      fresh.clear();
    }
    takeRows(content);
  });
  events.addEventListener("tiles", (said) => JSON.parse(said.data).forEach(takeTile));
  events.addEventListener("detail", (said) => takeDetail(JSON.parse(said.data)));
  events.addEventListener("error", () => {
    watcher = null;
    set(byId("summary"), "not connected");
    trouble("The page's server does not answer: what is shown is out of date. Trying again.");
    document.querySelectorAll(".tile").forEach((one) => one.classList.add("away"));
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
}
const fresh = new Set();

// ---- keyboard

document.addEventListener("keydown", (key) => {
  const typing = ["INPUT", "SELECT"].includes(document.activeElement.tagName);
  if (key.key === "Escape" && detail !== null) { location.hash = ""; return; }
  if (key.key === "/" && !typing && detail === null) { key.preventDefault(); byId("search").focus(); return; }
  if (!document.activeElement.classList.contains("tile")) return;
  const shown = [...byId("tiles").children].filter((one) => !one.hidden);
  const here = shown.indexOf(document.activeElement.parentElement);
  const columns = getComputedStyle(byId("tiles")).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const next = shown[here + (steps[key.key] || 0)];
  if (steps[key.key] && next) { key.preventDefault(); next.firstElementChild.focus(); }
});

byId("filters").addEventListener("submit", (sent) => sent.preventDefault());
for (const id of ["search", "state", "label"]) byId(id).addEventListener("input", filter);
byId("large").addEventListener("load", () => { byId("large").hidden = false; byId("no-picture").hidden = true; });
byId("large").addEventListener("error", () => { byId("large").hidden = true; byId("no-picture").hidden = false; });
byId("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(byId("copy").dataset.place);
    set(byId("copied"), "copied");
  } catch {
    set(byId("copied"), byId("copy").dataset.place);
  }
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  document.querySelectorAll(".strip").forEach((one) => { one.dataset.key = ""; });
});
window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", look);
route();
connect();
