// The wall: a row of words for every stream, a tile with a picture for those on the screen.

import { ageWords, byId, colour, memoryWords, paint, PICTURE_MS, seconds, set, showState } from "./elements.js";

const rows = new Map(); // stream -> [state, label]
const tiles = new Map(); // stream -> {item, parts, pictureAt, picture}
const seen = new Set(); // streams whose tiles are on the screen
const fresh = new Set(); // streams that the first rows of a new connection must name
let seenChanged = () => {};

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) seen.add(entry.target.dataset.stream);
    else seen.delete(entry.target.dataset.stream);
  }
  seenChanged();
}, { rootMargin: "100px" });

export function whenSeen(callback) {
  seenChanged = callback;
}

export function onScreen() {
  return [...seen].filter((name) => tiles.has(name));
}

export function focusTile(name) {
  tiles.get(name)?.parts.tile.focus();
}

// A new connection's first rows name all that there are: what they leave out is gone.
export function beginAgain() {
  for (const name of rows.keys()) fresh.add(name);
}

export function outOfDate() {
  set(byId("summary"), "not connected");
  trouble("The page's server does not answer: what is shown is out of date. Trying again.");
  document.querySelectorAll(".tile").forEach((one) => one.classList.add("away"));
}

export function redrawStrips() {
  document.querySelectorAll(".strip").forEach((one) => { one.dataset.key = ""; });
}

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

export function filter() {
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

export function takeRows(said) {
  const gone = [...said.gone, ...[...fresh].filter((name) => !(name in said.changed))];
  fresh.clear();
  for (const name of gone) {
    rows.delete(name);
    const tile = tiles.get(name);
    if (tile) { sight.unobserve(tile.item); tile.item.remove(); tiles.delete(name); seen.delete(name); }
  }
  for (const [name, row] of Object.entries(said.changed)) {
    rows.set(name, row);
    if (!tiles.has(name)) place(name, makeTile(name).item);
    showState(tiles.get(name).parts.state, row[0]);
  }
  if (gone.length || Object.keys(said.changed).length) {
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

export function takeTile(said) {
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

// Arrow keys go from tile to tile.
export function step(key) {
  if (!document.activeElement.classList.contains("tile")) return;
  const shown = [...byId("tiles").children].filter((one) => !one.hidden);
  const here = shown.indexOf(document.activeElement.parentElement);
  const columns = getComputedStyle(byId("tiles")).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const next = shown[here + (steps[key.key] || 0)];
  if (steps[key.key] && next) { key.preventDefault(); next.firstElementChild.focus(); }
}
