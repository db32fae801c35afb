// A tenant's settings as a form. What is empty is as the configuration says.

import { el, text } from "./dom.js";
import { bytes, time } from "./format.js";
import { notice } from "./notices.js";
import { filling, panel } from "./panel.js";
import { may } from "./session.js";
import { readSettings, writeSettings } from "./settings_api.js";
import { queueFields } from "./settings_fields.js";

/** The panel. */
export function settings(tenant) {
  const fields = el("div", { class: "queues" });
  const who = el("p", { class: "quiet small" });
  const said = el("p", { class: "bad-text", role: "alert" });
  const save = el("button", { type: "submit", class: "primary" }, "Save");
  const form = el("form", { novalidate: null }, fields, said, may.control() && el("div", { class: "row" }, save), who);
  const element = panel("settings", "Settings", null, form);
  let document = null;
  let queues = [];
  let tag = null;
  let dirty = false;
  let refused = false;
  let asked = 0;
  let shown = 0;

  function show() {
    dirty = false;
    queues = Object.entries(document?.effective ?? {}).map(([type, effective]) => queueFields(type, document.queues[type] ?? {}, effective));
    fields.replaceChildren(...queues.map((queue) => queue.element));
    who.replaceChildren(...(document?.updated_at ? ["Changed ", time(document.updated_at), document.updated_by ? ` by ${document.updated_by}` : ""] : ["Never changed: all as the configuration says."]));
  }
  const load = () =>
    filling(element, async () => {
      if (dirty) return;
      asked += 1;
      const own = asked;
      const read = await readSettings(tenant);
      // What somebody is typing is not taken away, and answers may overtake each other.
      if (dirty || own < shown) return;
      shown = own;
      const same = JSON.stringify(read.document) === JSON.stringify(document);
      ({ document, tag } = read);
      // The same again: whoever is about to type keeps the focus.
      if (!same || refused) show();
      refused = false;
    });

  const entered = () => Object.fromEntries(queues.map((queue) => [queue.type, queue.entered()]));
  form.addEventListener("input", () => (dirty = true));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    text(said, "");
    if (!document || !form.reportValidity()) return;
    save.disabled = true;
    try {
      await writeSettings(tenant, entered(), tag);
      notice("Settings saved");
      dirty = false;
      await load();
    } catch (error) {
      text(said, error.message);
      if (error.status === 412) {
        dirty = false;
        refused = true;
        await load();
        text(said, `${document?.updated_by ?? "Somebody"} has changed the settings meanwhile. They are shown now; please make your change again.`);
      }
    } finally {
      save.disabled = false;
    }
  });
  return { element, onOpen: load, onEvent: (event) => event.kind === "settings" && load() };
}
