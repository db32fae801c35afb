// What has happened to a tenant, the newest first, and what happens now.

import { WORKERS, get, query } from "./api.js";
import { badge } from "./badge.js";
import { el } from "./dom.js";
import { time } from "./format.js";
import { filling, panel } from "./panel.js";

const PAGE = 50;
const MOST = 500;

/** The panel. */
export function timeline(tenant) {
  const list = el("ol", { class: "timeline" });
  const none = el("p", { class: "quiet" }, "Nothing has happened yet.");
  const older = el("button", { type: "button", hidden: true, on: { click: () => load(cursor) } }, "Older");
  const box = el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Events" }, none, list, older);
  const element = panel("events", "Events", null, box);
  const known = new Set();
  let cursor = null;

  function add(event, first) {
    if (known.has(event.id)) return;
    known.add(event.id);
    none.hidden = true;
    const item = entry(event);
    if (first) list.prepend(item);
    else list.append(item);
    while (first && list.children.length > MOST) list.lastChild.remove();
  }
  const load = (from) =>
    filling(element, async () => {
      const page = await get(`${WORKERS}/history${query({ tenant_id: tenant, limit: PAGE, cursor: from })}`);
      // What happened meanwhile is in front of what is shown already; an older page goes behind it.
      const events = from === null ? [...page.events].reverse() : page.events;
      for (const event of events) add(event, from === null);
      if (from !== null || cursor === null) {
        cursor = page.next_cursor;
        older.hidden = cursor === null;
      }
    });
  return { element, onOpen: () => load(null), onEvent: (event) => add(event, true) };
}

function entry(event) {
  const went = event.to && [event.from && el("span", { class: "quiet" }, `${event.from} → `), badge(event.to), " "];
  const verdict = event.verdict && el("span", { class: "verdict", data: { verdict: event.verdict.split("(")[0] } }, `${event.verdict} `);
  const whose = [event.worker, event.incarnation !== null && event.worker && `process ${event.incarnation}`, event.by && `by ${event.by}`].filter(Boolean).join(" · ");
  return el("li", { data: { kind: event.kind } }, time(event.at), el("div", {}, el("p", {}, went, verdict, event.reason), whose && el("p", { class: "quiet small" }, whose)));
}
