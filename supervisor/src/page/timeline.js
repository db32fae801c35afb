// What has happened to a tenant, the newest first, and what happens now.

import { WORKERS, get, query } from "./api.js";
import { badge } from "./badge.js";
import { el } from "./dom.js";
import { time } from "./format.js";
import { filling, panel } from "./panel.js";

const PAGE = 50;
// What happens pushes out what is beyond, unless somebody has asked for more.
const MOST = 500;

/** The panel. */
export function timeline(tenant) {
  const list = el("ol", { class: "timeline" });
  const none = el("p", { class: "quiet" }, "Nothing has happened yet.");
  const older = el("button", { type: "button", hidden: true, on: { click: () => load(cursor) } }, "Older");
  const box = el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Events" }, none, list, older);
  const element = panel("events", "Events", null, box);
  let begun = false;
  let cursor = null;
  let most = MOST;

  // By its number: what happens now and the answers to what happened before overtake each other.
  function add(event) {
    let next = list.firstChild;
    while (next && Number(next.dataset.id) > event.id) next = next.nextSibling;
    if (next && Number(next.dataset.id) === event.id) return;
    none.hidden = true;
    list.insertBefore(entry(event), next);
  }
  function olderThan(id) {
    cursor = id;
    older.hidden = cursor === null;
  }
  function trim() {
    if (list.children.length <= most) return;
    while (list.children.length > most) list.lastChild.remove();
    olderThan(Number(list.lastChild.dataset.id));
  }
  const load = (from) =>
    filling(element, async () => {
      const page = await get(`${WORKERS}/history${query({ tenant_id: tenant, limit: PAGE, cursor: from })}`);
      // Asked for twice, or the end of the list is another by now: behind it there would be a gap.
      if (from !== null && from !== cursor) return;
      for (const event of page.events) add(event);
      if (from !== null) most = Math.max(most, list.children.length);
      if (from !== null || !begun) olderThan(page.next_cursor);
      begun = true;
      trim();
    });
  const happened = (event) => {
    add(event);
    trim();
  };
  return { element, onOpen: () => load(null), onEvent: happened };
}

function entry(event) {
  const went = event.to && [event.from && el("span", { class: "quiet" }, `${event.from} → `), badge(event.to), " "];
  const verdict = event.verdict && el("span", { class: "verdict", data: { verdict: event.verdict.split("(")[0] } }, `${event.verdict} `);
  const whose = [event.worker, event.incarnation !== null && event.worker && `process ${event.incarnation}`, event.by && `by ${event.by}`].filter(Boolean).join(" · ");
  return el("li", { data: { id: event.id, kind: event.kind } }, time(event.at), el("div", {}, el("p", {}, went, verdict, event.reason), whose && el("p", { class: "quiet small" }, whose)));
}
