// Sums over all tenants, and the states as buttons that filter.

import { STATES } from "./badge.js";
import { attribute, el, text } from "./dom.js";
import { bytes, count, rate } from "./format.js";

const TILES = [
  ["tenants", "Tenants", count],
  ["workers", "Workers", (value) => value],
  ["messages_ready", "Ready", count],
  ["throughput", "Messages/s", rate],
  ["resident_memory_bytes", "Memory", bytes],
];

/** The strip above the table; `onState(state)` when somebody wants to see one state only. */
export function totals(onState) {
  const values = Object.fromEntries(TILES.map(([name]) => [name, el("dd")]));
  const tiles = TILES.map(([name, title]) => el("div", { class: "tile" }, el("dt", {}, title), values[name]));
  const numbers = Object.fromEntries(STATES.map((state) => [state, el("b")]));
  const buttons = Object.fromEntries(
    STATES.map((state) => {
      const press = () => onState(buttons[state].getAttribute("aria-pressed") === "true" ? "" : state);
      return [state, el("button", { type: "button", class: "chip", "aria-pressed": "false", data: { state }, on: { click: press } }, state, numbers[state])];
    }),
  );
  const chips = el("div", { class: "chips", role: "group", "aria-label": "Show one state only" }, Object.values(buttons));
  const element = el("section", { class: "totals", "aria-label": "Totals" }, el("dl", {}, tiles), chips);

  return {
    element,
    show(sums, filtered) {
      for (const [name, , format] of TILES) text(values[name], String(format(sums[name])));
      for (const state of STATES) {
        const number = sums.states[state] ?? 0;
        text(numbers[state], count(number));
        buttons[state].hidden = number === 0 && state !== filtered;
        attribute(buttons[state], "aria-pressed", String(state === filtered));
      }
    },
  };
}

/** The sums of these rows. */
export function sum(rows) {
  const sums = { tenants: 0, messages_ready: 0, throughput: 0, resident_memory_bytes: 0, states: {} };
  let running = 0;
  let wanted = 0;
  for (const row of rows) {
    sums.tenants += 1;
    running += row.running;
    wanted += row.workers;
    sums.messages_ready += row.messages_ready ?? 0;
    sums.throughput += row.throughput ?? 0;
    sums.resident_memory_bytes += row.resident_memory_bytes;
    sums.states[row.state] = (sums.states[row.state] ?? 0) + 1;
  }
  return { ...sums, workers: `${count(running)} / ${count(wanted)}` };
}
