// Questions that must be answered before something happens.

import { el } from "./dom.js";

let number = 0;

/**
 * Asks; resolves to the values of the fields by name, or to `null` where the answer is no. `text` is a sentence or a list of
 * elements. Where there is nothing to enter, the button that does nothing has the focus; `danger` is a colour of the other.
 */
export function ask({ title, text, confirm, danger = false, fields = [] }) {
  number += 1;
  const heading = el("h2", { id: `ask-${number}` }, title);
  const no = el("button", { type: "button", value: "no" }, confirm ? "Cancel" : "Close");
  const yes = confirm && el("button", { type: "submit", class: danger ? "danger" : "primary" }, confirm);
  const body = typeof text === "string" ? el("p", {}, text) : text;
  const form = el("form", { method: "dialog" }, heading, body, fields.map(field), el("div", { class: "row end" }, no, yes));
  const dialog = el("dialog", { "aria-labelledby": `ask-${number}`, class: "ask" }, form);
  document.body.append(dialog);
  const first = form.querySelector("input, select");
  dialog.showModal();
  (first ?? no).focus();
  return new Promise((resolve) => {
    let answer = null;
    no.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    form.addEventListener("submit", () => {
      answer = Object.fromEntries(new FormData(form));
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
  });
}

function field({ name, label, hint, options, ...input }) {
  const control = options
    ? el("select", { name }, options.map(([value, words]) => el("option", { value }, words)))
    : el("input", { name, required: true, ...input });
  return el("label", { class: "field" }, el("span", {}, label), control, hint && el("small", {}, hint));
}
