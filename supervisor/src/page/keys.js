// Keys that work everywhere, and the list of them.

import { ask } from "./dialog.js";
import { byId, el } from "./dom.js";

const KEYS = [
  ["/", "search"],
  ["↑ ↓  PgUp PgDn  Home End", "move in the table"],
  ["Enter", "open the tenant"],
  ["Space", "choose the tenant (Shift + click: all between)"],
  ["Tab", "to the buttons of the line, and on"],
  ["Esc", "close, clear, or go back to the table"],
  ["?", "this list"],
];

/** Shows the list. */
export const showKeys = () =>
  ask({ title: "Keys", text: el("dl", { class: "keys" }, KEYS.flatMap(([key, does]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, does)])) });

/** Whether what is typed goes into a field. */
const typing = (target) => target.matches?.("input:not([type=checkbox]), textarea, select") ?? false;

/** Listens to them; `onEscape()` where nothing nearer took it. */
export function listen(onEscape) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && !event.defaultPrevented) onEscape();
    if (typing(event.target)) return;
    if (event.key === "/" && byId("search")) {
      event.preventDefault();
      byId("search").focus();
      byId("search").select();
    } else if (event.key === "?" && !byId("keys").hidden) showKeys();
  });
}
