// What the page says by itself: short notices that go away, and sentences for screen readers.

import { byId, el } from "./dom.js";

const STAYS = 6000;
const ERRORS_STAY = 12000;
const COLLECT = 1500;

/** A notice in the corner. */
export function notice(message, kind = "ok") {
  const close = () => item.remove();
  const button = el("button", { type: "button", class: "icon", "aria-label": "Close this notice", on: { click: close } }, "×");
  const item = el("div", { class: `toast ${kind}`, role: kind === "bad" ? "alert" : "status" }, el("span", {}, message), button);
  byId("toasts").append(item);
  setTimeout(close, kind === "bad" ? ERRORS_STAY : STAYS);
}

/** A refusal or a failure. */
export const failure = (what, error) => notice(`${what}: ${error.message}`, "bad");

let waiting = [];
let timer = 0;

/** A sentence for screen readers. Many at once become one: nobody wants to hear a thousand. */
export function announce(sentence) {
  waiting.push(sentence);
  if (timer) return;
  timer = setTimeout(() => {
    timer = 0;
    const said = waiting.length > 3 ? `${waiting.length} changes, the last one: ${waiting.at(-1)}` : waiting.join(" ");
    waiting = [];
    byId("announcements").textContent = said;
  }, COLLECT);
}
