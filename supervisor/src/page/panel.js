// The frame of one part of a tenant's page.

import { el } from "./dom.js";

/** A part with its heading. */
export function panel(name, title, more, ...children) {
  const heading = el("h2", { id: `h-${name}` }, title);
  return el("section", { class: `panel ${name}`, "aria-labelledby": `h-${name}` }, el("header", {}, heading, more), ...children);
}

/** Runs what fetches something; where that fails, `place` shows why instead of the page's corner. */
export async function filling(place, work) {
  try {
    await work();
    place.querySelector(":scope > .bad-text")?.remove();
  } catch (error) {
    if (error.name === "AbortError" || error.status === 0 || error.status === 401) return;
    place.querySelector(":scope > .bad-text")?.remove();
    place.prepend(el("p", { class: "bad-text" }, error.message));
  }
}

/** Calls `work` once for many wishes that come within a moment. */
export function settled(work, milliseconds = 300) {
  let timer = 0;
  const wish = () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      work();
    }, milliseconds);
  };
  wish.cancel = () => clearTimeout(timer);
  return wish;
}
