// Makes a line of a log readable: JSON lines of our workers become a sentence with its fields, others stay as they are.

import { moment, utc } from "./format.js";

const LONGEST = 4000;

/** `{level, at, head, rest}`: the head is time, level and worker; the rest is what was said. */
export function readable(line) {
  const short = line.length > LONGEST ? `${line.slice(0, LONGEST)} … (${line.length - LONGEST} more characters)` : line;
  // With several workers, each line begins with the name of its own.
  const parted = /^([a-z][a-z0-9_]*-\d+-\d+) \| (.*)$/s.exec(short);
  const [worker, said] = parted ? [parted[1], parted[2]] : ["", short];
  if (!said.startsWith("{") || short !== line) return plain(worker, said);
  try {
    return sentence(worker, JSON.parse(said));
  } catch {
    return plain(worker, said);
  }
}

// A worker may write anything: what should be a word and is none is shown as JSON, and never asked to make a text of itself.
const word = (value) => (typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value));

function sentence(worker, entry) {
  const { timestamp, level, target, fields = {}, message, span, spans, ...others } = entry;
  const { message: inner, ...more } = typeof fields === "object" && fields !== null ? fields : {};
  const pairs = Object.entries({ ...more, ...others }).map(([name, value]) => `${name}=${value === null ? "null" : word(value)}`);
  const at = typeof timestamp === "number" ? timestamp : word(timestamp);
  const head = [at && moment(at), word(level), worker].filter(Boolean).join(" ");
  return { level: word(level).toUpperCase(), at: at ? utc(at) : null, head, rest: [word(inner ?? message), ...pairs].join(" ") };
}

function plain(worker, said) {
  const level = /\b(ERROR|WARN|DEBUG|TRACE)\b/.exec(said.slice(0, 80))?.[1] ?? "";
  return { level, at: null, head: worker, rest: said };
}
