// The live page: which part is shown, the keyboard, and the talk with the server.

import { byId } from "./elements.js";
import { show, shownStream, takeDetail } from "./stream.js";
import { beginAgain, filter, focusTile, onScreen, outOfDate, redrawStrips, step, takeRows, takeTile, whenSeen } from "./wall.js";

const LOOKED_AT = 100; // tiles: more than any screen holds
let watcher = null; // the server's name for this page, null while there is no connection
let lookTimer = 0;

function route() {
  const before = shownStream();
  const found = /^#\/stream\/(.+)$/.exec(location.hash);
  let stream = null;
  try { stream = found ? decodeURIComponent(found[1]) : null; } catch { /* not a name: the wall */ }
  byId("wall").hidden = stream !== null;
  document.title = stream === null ? "longtake live" : `${stream} · longtake live`;
  show(stream);
  if (stream === null && before !== null) focusTile(before);
  look();
}

function lookSoon() {
  clearTimeout(lookTimer);
  lookTimer = setTimeout(look, 100);
}

// Tell the server what is on the screen: pictures and details come for that alone.
function look() {
  if (watcher === null) return;
  const visible = shownStream() !== null || document.hidden ? [] : onScreen().slice(0, LOOKED_AT);
  const body = JSON.stringify({ watcher, visible, open: document.hidden ? null : shownStream() });
  fetch("/look", { method: "POST", body }).catch(() => {});
}

function connect() {
  const events = new EventSource("/events");
  events.addEventListener("hello", (said) => {
    watcher = JSON.parse(said.data).watcher;
    beginAgain();
    look();
  });
  events.addEventListener("rows", (said) => takeRows(JSON.parse(said.data)));
  events.addEventListener("tiles", (said) => JSON.parse(said.data).forEach(takeTile));
  events.addEventListener("detail", (said) => takeDetail(JSON.parse(said.data)));
  events.addEventListener("error", () => {
    watcher = null;
    outOfDate();
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
}

document.addEventListener("keydown", (key) => {
  const typing = ["INPUT", "SELECT"].includes(document.activeElement.tagName);
  if (key.key === "Escape" && shownStream() !== null) { location.hash = ""; return; }
  if (key.key === "/" && !typing && shownStream() === null) { key.preventDefault(); byId("search").focus(); return; }
  step(key);
});
byId("filters").addEventListener("submit", (sent) => sent.preventDefault());
for (const id of ["search", "state", "label"]) byId(id).addEventListener("input", filter);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawStrips);
window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", look);
whenSeen(lookSoon);
route();
connect();
