// The fields of one queue type's settings. What nobody has touched is sent back as it came: a field shows less than there is,
// such as a time without its seconds.

import { el } from "./dom.js";
import { ENDLESS, bytes, isEndless, localInput } from "./format.js";
import { may } from "./session.js";
import { MOST_WORKERS, mostWorkers } from "./settings_api.js";

const MIB = 1024 * 1024;
// The API's least.
const LEAST_MIB = 8;

/** `{ type, element, entered() }`; `entered()` is what to send. */
export function queueFields(type, set, effective) {
  const fields = [workers(type, set, effective), may.everybody() && mostOf(type, set, effective), memory(type, set, effective)].filter(Boolean);
  const pause = pausing(type, set, effective);
  const element = el("fieldset", {}, el("legend", {}, type), fields.map((field) => field.element), pause.elements);
  const entered = () => ({ ...set, ...Object.fromEntries(fields.map((field) => [field.key, field.entered()])), paused_until: pause.entered() });
  return { type, element, entered };
}

/** A number, with how what is typed becomes what is sent. */
function number(name, key, label, hint, original, more, meant = Number) {
  const input = el("input", { type: "number", name, disabled: !may.control(), ...more });
  const put = input.value;
  const element = el("label", { class: "field" }, el("span", {}, label), input, el("small", {}, hint));
  const entered = () => (input.value === put ? original ?? null : input.value === "" ? null : meant(input.value));
  return { key, element, entered };
}

function workers(type, set, effective) {
  const most = Math.max(mostWorkers(effective), set.workers ?? 0);
  const more = { min: 0, max: most, value: set.workers, placeholder: effective.workers };
  return number(`${type}.workers`, "workers", "Workers", `now ${effective.workers}; 0 to ${most}`, set.workers, more);
}

function mostOf(type, set, effective) {
  const most = Math.max(MOST_WORKERS, set.workers_max ?? 0);
  const more = { min: 0, max: most, value: set.workers_max, placeholder: effective.workers_max };
  return number(`${type}.workers_max`, "workers_max", "Most workers", `the operator's limit, 0 to ${most}`, set.workers_max, more);
}

function memory(type, set, effective) {
  const mib = (value) => Number((value / MIB).toFixed(2));
  const now = set.memory_soft_bytes ? mib(set.memory_soft_bytes) : null;
  const more = {
    step: "any",
    min: Math.min(LEAST_MIB, now ?? LEAST_MIB),
    max: Math.max(Math.floor(effective.memory_max_bytes / MIB), now ?? 0),
    value: now,
    placeholder: mib(effective.memory_soft_bytes),
  };
  const hint = `now ${bytes(effective.memory_soft_bytes)}; at most ${bytes(effective.memory_max_bytes)}`;
  const meant = (value) => Math.round(Number(value) * MIB);
  return number(`${type}.memory_soft`, "memory_soft_bytes", "Soft memory limit (MiB)", hint, set.memory_soft_bytes, more, meant);
}

/** A time, or no end. A pause that is over is none. */
function pausing(type, set, effective) {
  const holds = Boolean(set.paused_until) && new Date(set.paused_until) > new Date();
  const endless = holds && isEndless(set.paused_until);
  const until = el("input", { type: "datetime-local", name: `${type}.paused_until`, value: holds && !endless ? localInput(set.paused_until) : null });
  const forever = el("input", { type: "checkbox", name: `${type}.paused`, checked: endless });
  const put = until.value;
  const fit = () => {
    forever.disabled = !may.control();
    until.disabled = !may.control() || forever.checked;
  };
  forever.addEventListener("change", fit);
  fit();
  const elements = [
    el("label", { class: "field" }, el("span", {}, "Paused until"), until, el("small", {}, effective.paused ? "paused now" : "not paused")),
    el("label", { class: "choice" }, forever, "Paused until it is resumed"),
  ];
  const entered = () => {
    if (forever.checked === endless && (endless || until.value === put)) return set.paused_until ?? null;
    if (forever.checked) return ENDLESS;
    return until.value ? new Date(until.value).toISOString() : null;
  };
  return { elements, entered };
}
