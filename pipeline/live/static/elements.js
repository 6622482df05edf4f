// What all parts of the page use: its elements, its words for times, and a colour for each label.
// Text from the log is only ever set as textContent.

export const PICTURE_MS = 1000; // at most one picture of a place in this time
const BAD = new Set(["stalled", "frozen", "refused", "unknown", "no predictions"]);
const colours = new Map(); // label -> 0..7, in the order of their appearance

export const byId = (id) => document.getElementById(id);

export function colour(label) {
  if (!colours.has(label)) colours.set(label, colours.size % 8);
  return colours.get(label);
}

export function paint(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function seconds(value) {
  if (value === null) return "never";
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}

export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function showState(element, state) {
  set(element, state);
  element.className = `state ${state === "live" ? "good" : BAD.has(state) ? "bad" : ""}`;
}

export function memoryWords(tile) {
  if (tile.frames === null) return "no prediction yet";
  const resets = tile.resets ? `, ${tile.resets} ${tile.resets === 1 ? "reset" : "resets"} seen` : "";
  return `remembers ${tile.frames} frames${resets}`;
}

export function ageWords(tile) {
  if (tile.silent_s === null) return "";
  return tile.silent_s > 3 ? `last prediction ${seconds(tile.silent_s)} ago` : `${tile.behind_s.toFixed(2)} s old`;
}
