// What the supervisor depends on, and whether it works: a dot with a name each.

import { byId, el } from "./dom.js";

const NAMES = { broker: "broker", database: "database", keeper: "keeper", tenants: "tenants" };

/** Asks and shows. Everybody may ask, and nobody learns more than yes or no. */
export async function showParts() {
  let ready;
  try {
    const response = await fetch("/readyz", { cache: "no-store", credentials: "omit" });
    ready = await response.json();
  } catch {
    return; // The banner tells that nobody answers.
  }
  const parts = Object.entries(ready.parts ?? {}).filter(([name]) => NAMES[name]);
  byId("parts").replaceChildren(
    ...parts.map(([name, ok]) => el("li", { class: ok ? "ok" : "bad", title: ok ? "works" : "does not work" }, NAMES[name], el("span", { class: "unseen" }, ok ? " works" : " does not work"))),
  );
}
