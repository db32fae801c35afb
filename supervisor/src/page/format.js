// Figures and times as people read them. Times are local; what rests on them shows UTC.

import { el } from "./dom.js";

const NONE = "–";

/** 13002342 → "12.4 MiB" */
export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let rest = value;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${unit === 0 || rest >= 100 ? Math.round(rest) : rest.toFixed(1)} ${units[unit]}`;
}

/** 12345 → "12,345" in the reader's own way */
export const count = (value) => (value === null || value === undefined ? NONE : value.toLocaleString());

/** Messages per second. */
export function rate(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return "0";
  return value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString();
}

/** 7931 → "2:12:11", 90061 → "1 d 1:01:01" */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const days = Math.floor(seconds / 86400);
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const clock = `${Math.floor((seconds % 86400) / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  return days > 0 ? `${days} d ${clock}` : clock;
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A moment in short: today's without its date. */
export function moment(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return String(iso);
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : calendar.format(at);
}

/** The same moment in UTC. */
export function utc(iso) {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? "" : `${at.toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

/** Both in an element. */
export const time = (iso) => el("time", { datetime: iso, title: utc(iso) }, moment(iso));

/** A pause until then lasts until somebody ends it: the last moment that the API can name. */
export const ENDLESS = "9999-12-31T23:59:59Z";
const END = new Date(ENDLESS).getTime();

/** Whether a pause has no end. Where the zone is east of UTC its year would have five digits. */
export const isEndless = (iso) => new Date(iso).getTime() >= END;

/** "until 3:15:00 PM" */
export const untilWords = (iso) => (isEndless(iso) ? "until it is resumed" : `until ${moment(iso)}`);

/** What an input of type datetime-local takes. */
export function localInput(iso) {
  if (!iso) return "";
  const at = new Date(iso);
  const shifted = new Date(at.getTime() - at.getTimezoneOffset() * 60000);
  return shifted.toISOString().slice(0, 16);
}

/** "1 worker", "2 workers" */
export const plural = (number, word) => `${number.toLocaleString()} ${word}${number === 1 ? "" : "s"}`;
