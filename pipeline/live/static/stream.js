// One stream's own page: its facts, its newest picture, its scores and the marks of its memory.

import { ageWords, byId, colour, memoryWords, paint, PICTURE_MS, seconds, set, showState } from "./elements.js";

let shown = null; // the stream that is open
let largeAt = 0;

export function shownStream() {
  return shown;
}

// Show the page of a stream, empty until the server has said what is known; null closes it.
export function show(stream) {
  shown = stream;
  byId("stream").hidden = stream === null;
  if (stream === null) return;
  set(byId("name"), stream);
  for (const id of ["now-label", "now-confidence", "now-reason", "large-words", "copied"]) set(byId(id), "");
  for (const id of ["facts", "legend", "marks"]) byId(id).replaceChildren();
  byId("marks").dataset.key = "none";
  const image = byId("large");
  image.hidden = true;
  image.dataset.picture = "";
  largeAt = 0;
  byId("name").focus();
}

function fact(list, name, value) {
  const term = document.createElement("dt");
  const said = document.createElement("dd");
  term.textContent = name;
  said.textContent = value;
  list.append(term, said);
}

export function takeDetail(said) {
  if (said.stream !== shown) return;
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
