// A tenant's dead letters: what was given up and why, to be published again or put away.

import { get, query } from "./api.js";
import { ask } from "./dialog.js";
import { el, text } from "./dom.js";
import { count, plural, time } from "./format.js";
import { failure, notice } from "./notices.js";
import { filling, panel, settled } from "./panel.js";
import { settleAll } from "./settle.js";

const PATH = "/api/v1/admin/dead-letters";
const PAGE = 25;
// The API's most, of a list and of a call that settles.
const MOST = 500;
// The list changes without an event: workers write letters, other people settle them.
const AGAIN = 10000;

/** The panel. */
export function letters(tenant) {
  const list = el("div", { class: "letters" });
  const none = el("p", { class: "quiet" }, "There are none.");
  const older = el("button", { type: "button", hidden: true, on: { click: () => load(true) } }, "Older");
  const filter = { filter: { tenant_id: tenant }, limit: MOST };
  const all = el("span", { class: "row", hidden: true }, button("Replay all", () => settle("replay", filter)), button("Discard all", () => settle("discard", filter), "danger"));
  const said = el("span", { class: "quiet small", role: "status" });
  const element = panel("letters-panel", "Dead letters", el("span", { class: "row" }, said, all), none, list, older);
  let cursor = null;
  let left = false;
  let before = Promise.resolve();

  // One after the other: an older page goes behind what is shown by then.
  const load = (more = false) => (before = before.then(() => fetched(more)));
  const fetched = (more) =>
    filling(element, async () => {
      const shown = list.children.length;
      // What somebody has asked for beyond the first page is kept, and beyond the API's most it is not looked at again.
      if (left || (!more && shown > MOST)) return;
      const limit = more ? PAGE : Math.max(PAGE, shown);
      const page = await get(`${PATH}${query({ tenant_id: tenant, limit, cursor: more ? cursor : null })}`);
      if (!more) {
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
    let state = "closed";
    // Once, however often it is opened and closed meanwhile; after a failure again.
    element.addEventListener("toggle", async () => {
      if (!element.open || state !== "closed") return;
      state = "loading";
      await filling(body, async () => {
        await reveal(letter, body);
        state = "shown";
      });
      if (state === "loading") state = "closed";
    });
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
    const means = what === "discard" ? "A discarded message is kept, and never replayed." : "The message is published to its queue again.";
    const word = what === "discard" ? "Discard" : "Replay";
    if (!(what === "replay" && selection.ids) && !(await ask({ title: `${word} ${whole}?`, text: means, confirm: word, danger: what === "discard" }))) return;
    setBusy(true);
    const done = what === "discard" ? "discarded" : "replayed";
    const outcome = await settleAll(what, selection, (now, of) => {
      if (of > now) text(said, `${count(now)} of ${count(of)} ${done} …`);
      return !left;
    });
    setBusy(false);
    text(said, "");
    if (outcome.done > 0) notice(`${plural(outcome.done, "letter")} ${done}`);
    else if (outcome.failed.length === 0 && !outcome.error) notice("Nothing was left to do: somebody else was faster");
    if (outcome.failed.length > 0) notice(`${plural(outcome.failed.length, "letter")} stayed: ${outcome.failed[0].detail}`, "bad");
    if (outcome.error) failure(outcome.rest > 0 ? `${word}: ${plural(outcome.rest, "letter")} stayed` : word, outcome.error);
    else if (outcome.rest > 0) notice(`${plural(outcome.rest, "letter")} not ${done} yet`, "bad");
    load();
  }
  function setBusy(busy) {
    for (const one of element.querySelectorAll("button")) one.disabled = busy;
  }

  const soon = settled(load, 1000);
  const timer = setInterval(() => document.hidden || list.children.length > PAGE || load(), AGAIN);
  const leave = () => {
    left = true;
    soon.cancel();
    clearInterval(timer);
  };
  return { element, onOpen: () => load(), onEvent: () => soon(), leave };
}

const button = (words, listener, kind = null) => el("button", { type: "button", class: kind, on: { click: listener } }, words);

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
