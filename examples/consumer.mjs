// Checks every link of every chain in predictions, one JSON object per line on standard input.
// The rules are those of docs/formats.md, "The chain". Exit code 1: a link was broken.
//
//   longtake tail --from-start --json | node examples/consumer.mjs

import { createInterface } from "node:readline";
import { crc32 } from "node:zlib";

const NEW_STREAM = "00000000";
const newest = new Map(); // "stream/partition" -> { offset, chain }

/** Follow one prediction. Returns `ok`, `first`, `repeat`, or what is broken. */
function check(line) {
  const said = JSON.parse(line);
  const body = line.slice(0, line.lastIndexOf(',"prev":'));
  const chain = crc32(Buffer.from(said.prev + body, "utf8")).toString(16).padStart(8, "0");
  if (chain !== said.chain) return "altered: the bytes do not give the chain";
  const place = `${said.stream}/${said.source.partition}`;
  const before = newest.get(place);
  if (before !== undefined && said.source.offset <= before.offset) return "repeat";
  newest.set(place, { offset: said.source.offset, chain: said.chain });
  if (["new", "ended"].includes(said.memory.reset)) {
    return said.prev === NEW_STREAM ? "ok" : "unlinked: a new stream with a past";
  }
  if (before === undefined) return "first"; // reading began in the middle
  return said.prev === before.chain ? "ok" : `unlinked: prev should be ${before.chain}`;
}

/** Show text from outside: a terminal must not obey it. */
const escaped = (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`;
const plain = (text) => String(text).replace(/[^ -~]/g, escaped);

let count = 0;
let broken = 0;
for await (const line of createInterface({ input: process.stdin })) {
  count += 1;
  try {
    const found = check(line);
    if (/^(altered|unlinked)/.test(found)) broken += 1;
    const { captured_at, stream, label, confidence } = JSON.parse(line);
    console.log([captured_at, stream, label, confidence, found].map(plain).join(" "));
  } catch (error) {
    broken += 1; // others may write into the topic
    console.log(`unreadable: ${plain(error.message)}`);
  }
}
console.log(`${count} predictions, ${broken} broken links`);
process.exitCode = broken ? 1 : 0;
