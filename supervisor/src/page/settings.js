// A tenant's settings as a form. What is empty is as the configuration says.

import { el, text } from "./dom.js";
import { bytes, localInput, time } from "./format.js";
import { notice } from "./notices.js";
import { filling, panel } from "./panel.js";
import { may } from "./session.js";
import { readSettings, writeSettings } from "./settings_api.js";

const MIB = 1024 * 1024;

/** The panel. */
export function settings(tenant) {
  const fields = el("div", { class: "queues" });
  const who = el("p", { class: "quiet small" });
  const said = el("p", { class: "bad-text", role: "alert" });
  const save = el("button", { type: "submit", class: "primary" }, "Save");
  const form = el("form", { novalidate: null }, fields, said, may.control() && el("div", { class: "row" }, save), who);
  const element = panel("settings", "Settings", null, form);
  let document = null;
  let tag = null;
  let dirty = false;

  function show() {
    dirty = false;
    fields.replaceChildren(...Object.entries(document?.effective ?? {}).map(([type, effective]) => queue(type, document.queues[type] ?? {}, effective)));
    who.replaceChildren(...(document?.updated_at ? ["Changed ", time(document.updated_at), document.updated_by ? ` by ${document.updated_by}` : ""] : ["Never changed: all as the configuration says."]));
  }
  function queue(type, set, effective) {
    const input = (name, label, hint, more) =>
      el("label", { class: "field" }, el("span", {}, label), el("input", { name: `${type}.${name}`, disabled: !may.control(), ...more }), el("small", {}, hint));
    return el(
      "fieldset",
      {},
      el("legend", {}, type),
      input("workers", "Workers", `now ${effective.workers}; 0 to ${effective.workers_max}`, { type: "number", min: 0, max: effective.workers_max, value: set.workers, placeholder: effective.workers }),
      may.everybody() && input("workers_max", "Most workers", "the operator's limit", { type: "number", min: 0, max: 1000, value: set.workers_max, placeholder: effective.workers_max }),
      input("memory_soft", "Soft memory limit (MiB)", `now ${bytes(effective.memory_soft_bytes)}; at most ${bytes(effective.memory_max_bytes)}`, { type: "number", min: 1, max: Math.floor(effective.memory_max_bytes / MIB), value: set.memory_soft_bytes ? Math.round(set.memory_soft_bytes / MIB) : null, placeholder: Math.round(effective.memory_soft_bytes / MIB) }),
      input("paused_until", "Paused until", effective.paused ? "paused now" : "not paused", { type: "datetime-local", value: localInput(set.paused_until) }),
    );
  }
  const load = () =>
    filling(element, async () => {
      // What somebody is typing is not taken away.
      if (dirty) return;
      ({ document, tag } = await readSettings(tenant));
      show();
    });

  function entered() {
    const values = new FormData(form);
    const number = (name, factor = 1) => {
      const value = values.get(name);
      return value === null || value === "" ? null : Number(value) * factor;
    };
    return Object.fromEntries(
      Object.keys(document.effective).map((type) => {
        const until = values.get(`${type}.paused_until`);
        const changed = { workers: number(`${type}.workers`), memory_soft_bytes: number(`${type}.memory_soft`, MIB), paused_until: until ? new Date(until).toISOString() : null };
        if (may.everybody()) changed.workers_max = number(`${type}.workers_max`);
        return [type, { ...document.queues[type], ...changed }];
      }),
    );
  }
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
        await load();
        text(said, `${document?.updated_by ?? "Somebody"} has changed the settings meanwhile. They are shown now; please make your change again.`);
      }
    } finally {
      save.disabled = false;
    }
  });
  return { element, onOpen: load, onEvent: (event) => event.kind === "settings" && load() };
}
