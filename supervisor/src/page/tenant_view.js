// One tenant's page. Each part lives by itself and is told when the tenant's row changes or something happens to it.

import { badge, show as showState } from "./badge.js";
import { chart } from "./chart.js";
import { controls, isPaused } from "./controls.js";
import { credentials } from "./credentials.js";
import { attribute, el, text } from "./dom.js";
import { fleet, onFleet } from "./fleet.js";
import { bytes, count, rate, untilWords } from "./format.js";
import { letters } from "./letters.js";
import { logs } from "./logs.js";
import { may } from "./session.js";
import { settings } from "./settings.js";
import { timeline } from "./timeline.js";
import { workers } from "./workers.js";

const TILES = [
  ["Workers", (row) => `${row.running} / ${row.workers}`],
  ["Ready", (row) => count(row.messages_ready)],
  ["Unacked", (row) => count(row.messages_unacknowledged)],
  ["Messages/s", (row) => rate(row.throughput)],
  ["Memory", (row) => bytes(row.resident_memory_bytes)],
  ["Restarts", (row) => count(row.restarts)],
  ["Last exit", (row) => row.last_exit?.verdict ?? "–"],
];

/** Builds the page of a tenant into `parent`. */
export function tenantView(parent, tenant) {
  const title = el("h1", { tabindex: -1 }, `Tenant ${tenant}`);
  const state = badge();
  const reason = el("p", { class: "reason" });
  const values = TILES.map(() => el("dd"));
  const tiles = el("dl", { class: "tiles" }, TILES.map(([name], index) => el("div", { class: "tile" }, el("dt", {}, name), values[index])));
  const buttons = may.control() ? controls(() => fleet.row(tenant)) : null;
  if (buttons) buttons.element.hidden = true;
  const back = may.everybody() && el("a", { class: "back", href: "#/" }, "← All tenants");
  const head = el("div", { class: "tenant-head" }, back, el("div", { class: "row" }, title, state, buttons?.element), reason);

  const parts = [workers(tenant), chart(tenant), timeline(tenant), logs(tenant)];
  if (may.readLetters()) parts.push(letters(tenant));
  parts.push(settings(tenant), credentials(tenant));
  parent.append(head, tiles, el("div", { class: "panels" }, parts.map((part) => part.element)));

  function show() {
    const row = fleet.row(tenant);
    if (!row) {
      if (fleet.complete()) text(reason, "There is no such tenant, or it is not yours.");
      return;
    }
    text(title, row.name ? `${row.name}` : `Tenant ${tenant}`);
    showState(state, row.state);
    const paused = isPaused(row) ? `Paused ${untilWords(row.paused_until)}. ` : "";
    text(reason, `Tenant ${tenant} · ${paused}${row.reason}`);
    attribute(reason, "title", row.last_exit?.detail ?? null);
    TILES.forEach(([, value], index) => text(values[index], value(row)));
    if (buttons) {
      buttons.element.hidden = false;
      buttons.show(row);
    }
    for (const part of parts) part.onRow?.(row);
  }

  const stop = onFleet(({ changed, shape }) => (shape || changed.has(tenant)) && show());
  const event = ({ detail }) => {
    if (detail.tenant_id === tenant) for (const part of parts) part.onEvent?.(detail);
  };
  const open = () => parts.forEach((part) => part.onOpen?.());
  addEventListener("live:event", event);
  addEventListener("live:open", open);
  show();
  open();
  return {
    title: `Tenant ${tenant}`,
    tenant,
    focus: () => title.focus(),
    leave() {
      stop();
      removeEventListener("live:event", event);
      removeEventListener("live:open", open);
      for (const part of parts) part.leave?.();
    },
  };
}
