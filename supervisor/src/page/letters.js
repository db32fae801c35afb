// A tenant's dead letters: what was given up and why, to be published again or put away.

import { get, post, query } from "./api.js";
import { ask } from "./dialog.js";
import { el } from "./dom.js";
import { count, plural, time } from "./format.js";
import { failure, notice } from "./notices.js";
import { filling, panel, settled } from "./panel.js";

const PATH = "/api/v1/admin/dead-letters";
const PAGE = 25;
// The list changes without an event: workers write letters, other people settle them.
const AGAIN = 10000;

/** The panel. */
export function letters(tenant) {
  const list = el("div", { class: "letters" });
  const none = el("p", { class: "quiet" }, "There are none.");
  const older = el("button", { type: "button", hidden: true, on: { click: () => load(cursor) } }, "Older");
  const filter = { filter: { tenant_id: tenant }, limit: 500 };
  const all = el("span", { class: "row", hidden: true }, button("Replay all", () => settle("replay", filter)), button("Discard all", () => settle("discard", filter), "danger"));
  const element = panel("letters-panel", "Dead letters", all, none, list, older);
  let cursor = null;

  const load = (from) =>
    filling(element, async () => {
      const page = await get(`${PATH}${query({ tenant_id: tenant, limit: PAGE, cursor: from })}`);
      if (from === null) {
        const kept = new Map([...list.children].map((child) => [child.dataset.letter, child]));
        list.replaceChildren(...page.letters.map((letter) => kept.get(String(letter.id)) ?? entry(letter)));
      } else list.append(...page.letters.map(entry));
      cursor = page.next_cursor;
      older.hidden = cursor === null;
      none.hidden = list.children.length > 0;
      all.hidden = list.children.length === 0;
    });

  function entry(letter) {
    const body = el("div", { class: "letter-body" });
    const what = letter.raw_data_id === null ? letter.queue : `${letter.type ?? "?"} · raw row ${letter.raw_data_id}`;
    const summary = el("summary", {}, time(letter.created_at), el("span", { class: "verdict", data: { verdict: "EXIT" } }, letter.reason), el("span", { class: "what" }, what), el("span", { class: "quiet" }, plural(letter.attempts, "attempt")), el("span", { class: "detail" }, letter.detail));
    const one = { ids: [letter.id] };
    const buttons = el("div", { class: "row" }, button("Replay", () => settle("replay", one), "primary"), button("Discard", () => settle("discard", one), "danger"));
    const element = el("details", { data: { letter: String(letter.id) } }, summary, buttons, body);
    element.addEventListener("toggle", () => element.open && body.children.length === 0 && filling(body, () => reveal(letter, body)));
    return element;
  }
  async function reveal(letter, place) {
    const whole = await get(`${PATH}/${letter.id}`);
    const block = (title, content) => [el("h3", {}, title), el("pre", { tabindex: 0 }, content)];
    const encoding = whole.body_encoding === "text" ? "" : `, ${whole.body_encoding}`;
    const body = whole.body_encoding === "text" ? pretty(whole.body) : whole.body;
    place.append(
      ...block(`Message (${count(letter.body_bytes)} bytes${encoding})`, body),
      ...block("Headers", JSON.stringify(whole.headers, null, 2)),
      ...(whole.exit_report ? block("How the process ended", JSON.stringify(whole.exit_report, null, 2)) : []),
    );
  }
  async function settle(what, selection) {
    const whole = selection.ids ? "this letter" : "all letters of this tenant";
    const text = what === "discard" ? "A discarded message is kept, and never replayed." : "The message is published to its queue again.";
    const word = what === "discard" ? "Discard" : "Replay";
    if (!(what === "replay" && selection.ids) && !(await ask({ title: `${word} ${whole}?`, text, confirm: word, danger: what === "discard" }))) return;
    try {
      const settled = await post(`${PATH}/${what}`, selection);
      if (settled.done > 0) notice(`${plural(settled.done, "letter")} ${what === "discard" ? "discarded" : "replayed"}`);
      else if (settled.failed.length === 0) notice("Nothing was left to do: somebody else was faster");
      if (settled.failed.length > 0) notice(`${plural(settled.failed.length, "letter")} stayed: ${settled.failed[0].detail}`, "bad");
    } catch (error) {
      failure(word, error);
    }
    load(null);
  }

  const soon = settled(() => load(null), 1000);
  const timer = setInterval(() => document.hidden || cursor !== null || load(null), AGAIN);
  return { element, onOpen: () => load(null), onEvent: soon, leave: () => (soon.cancel(), clearInterval(timer)) };
}

const button = (words, listener, kind = null) => el("button", { type: "button", class: kind, on: { click: listener } }, words);

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
