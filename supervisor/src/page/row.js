// One line of the table. It is filled again with another tenant when the table scrolls, and touches only what differs.

import { show as showState } from "./badge.js";
import { controls, isPaused } from "./controls.js";
import { attribute, el, text } from "./dom.js";
import { bytes, count, isEndless, moment, rate, utc } from "./format.js";
import { nameOf } from "./orders.js";
import { draw, sparkline } from "./sparkline.js";

const cell = (name, ...children) => el("div", { class: `cell ${name}`, role: "gridcell" }, ...children);

/** An empty line. `withControls`: buttons and a box to choose it; `onChoose(tenant, event)`. */
export function line(withControls, onChoose) {
  let row = null;
  const box = el("input", { type: "checkbox", tabindex: -1, on: { click: (event) => onChoose(row.tenant_id, event) } });
  const link = el("a", { class: "tenant-link", tabindex: -1 });
  const number = el("span", { class: "number" });
  const state = el("span", { class: "badge" });
  const pause = el("span", { class: "note" });
  const workers = el("span");
  const ready = el("span");
  const unacknowledged = el("span", { class: "quiet" });
  const throughput = el("span");
  const memory = el("span");
  const spark = sparkline();
  const restarts = el("span");
  const verdict = el("span", { class: "verdict" });
  const when = el("time", { class: "quiet" });
  const buttons = withControls ? controls(() => row, { tabindex: -1 }) : null;
  const element = el(
    "div",
    { class: "line", role: "row", tabindex: -1 },
    withControls && cell("choose", box),
    cell("tenant", link, number),
    cell("state", state, pause),
    cell("workers", workers),
    cell("depth", ready, unacknowledged),
    cell("rate", throughput),
    cell("memory", memory, spark),
    cell("restarts", restarts),
    cell("exit", verdict, when),
    buttons && cell("buttons", buttons.element),
  );

  // What can have the focus, always in the same order.
  const parts = [element, ...element.querySelectorAll("a, button, input")];

  /** Shows a tenant at a place of the table. */
  function show(next, place, top, chosen) {
    row = next;
    attribute(element, "data-tenant", String(row.tenant_id));
    attribute(element, "aria-rowindex", String(place + 2));
    if (element.top !== top) {
      element.top = top;
      element.style.transform = `translateY(${top}px)`;
    }
    text(link, row.name ?? `Tenant ${row.tenant_id}`);
    attribute(link, "href", `#/tenant/${row.tenant_id}`);
    attribute(link, "title", row.name);
    text(number, String(row.tenant_id));
    showState(state, row.state, row.reason);
    text(pause, isPaused(row) ? (isEndless(row.paused_until) ? "paused" : `paused to ${moment(row.paused_until)}`) : row.desired === "down" && row.state !== "STOPPED" ? "down" : "");
    text(workers, `${row.running}/${row.workers}`);
    attribute(workers, "class", row.running < row.workers && row.desired === "up" ? "short" : null);
    text(ready, count(row.messages_ready));
    text(unacknowledged, row.messages_unacknowledged === null ? "" : ` / ${count(row.messages_unacknowledged)}`);
    text(throughput, rate(row.throughput));
    text(memory, row.resident_memory_bytes === 0 ? "–" : bytes(row.resident_memory_bytes));
    draw(spark, row.memory_history_kib);
    text(restarts, count(row.restarts));
    text(verdict, row.last_exit?.verdict ?? "–");
    attribute(verdict, "data-verdict", row.last_exit?.verdict.split("(")[0] ?? null);
    attribute(verdict, "title", row.last_exit?.detail ?? null);
    text(when, row.last_exit ? moment(row.last_exit.at) : "");
    attribute(when, "title", row.last_exit ? utc(row.last_exit.at) : null);
    if (withControls) {
      box.checked = chosen;
      attribute(box, "aria-label", `Choose ${nameOf(row)}`);
      attribute(element, "aria-selected", String(chosen));
    }
    buttons?.show(row);
  }

  /** The line that the keyboard is on can be reached with Tab, and its buttons after it. */
  function reachable(yes) {
    for (const part of parts) attribute(part, "tabindex", yes ? "0" : "-1");
  }

  return { element, parts, show, reachable, tenant: () => row?.tenant_id };
}
