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
  let entry;
  try {
    entry = JSON.parse(said);
  } catch {
    return plain(worker, said);
  }
  const { timestamp, level = "", target, fields = {}, message, span, spans, ...others } = entry;
  const { message: inner, ...more } = typeof fields === "object" && fields !== null ? fields : {};
  const pairs = Object.entries({ ...more, ...others }).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const head = [timestamp && moment(timestamp), level, worker].filter(Boolean).join(" ");
  return { level: String(level).toUpperCase(), at: timestamp ? utc(timestamp) : null, head, rest: [inner ?? message ?? "", ...pairs].join(" ") };
}

function plain(worker, said) {
  const level = /\b(ERROR|WARN|DEBUG|TRACE)\b/.exec(said.slice(0, 80))?.[1] ?? "";
  return { level, at: null, head: worker, rest: said };
}
