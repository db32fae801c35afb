// A worker's or tenant's state: its word, and a colour for those who see colours.

import { attribute, el, text } from "./dom.js";

/** All states, what deserves attention most first. */
export const STATES = ["FATAL", "BACKOFF", "WAITING", "STOPPING", "STARTING", "RUNNING", "IDLE", "STOPPED"];

/** A badge; `show` changes it. */
export function badge(state) {
  const element = el("span", { class: "badge" });
  if (state) show(element, state);
  return element;
}

/** Lets a badge show a state. */
export function show(element, state, title = null) {
  text(element, state);
  attribute(element, "data-state", state);
  attribute(element, "title", title);
}
