// How many workers a tenant has, and whether it is paused: questions to a person, answers into the settings.

import { ask } from "./dialog.js";
import { ENDLESS, plural, untilWords } from "./format.js";
import { failure, notice } from "./notices.js";
import { nameOf } from "./orders.js";
import { changeEach, mostWorkers, readSettings, writeSettings } from "./settings_api.js";

const PAUSES = [["900", "15 minutes"], ["3600", "1 hour"], ["14400", "4 hours"], ["86400", "1 day"], ["604800", "7 days"], ["", "until it is resumed"]];

/** Asks for a number of workers and sets it. */
export async function scale(row) {
  try {
    const { document, tag } = await readSettings(row.tenant_id);
    const types = Object.entries(document.effective);
    const fields = types.map(([type, effective]) => ({
      name: type,
      label: types.length > 1 ? `Workers of ${type}` : "Workers",
      hint: `0 to ${mostWorkers(effective)}`,
      type: "number",
      min: 0,
      max: mostWorkers(effective),
      value: effective.workers,
    }));
    const answer = await ask({ title: `Scale ${nameOf(row)}`, text: "A worker that is too many drains before it leaves.", confirm: "Scale", fields });
    if (!answer) return;
    // A number that nobody has changed stays as it is set, or not set.
    const changed = types.filter(([type, effective]) => Number(answer[type]) !== effective.workers);
    const queues = Object.fromEntries(
      changed.map(([type]) => [type, { ...document.queues[type], workers: Number(answer[type]) }]),
    );
    if (changed.length > 0) await writeSettings(row.tenant_id, queues, tag);
    const wanted = Object.values(answer).reduce((sum, value) => sum + Number(value), 0);
    notice(`${nameOf(row)}: ${plural(wanted, "worker")} wanted`);
  } catch (error) {
    failure(`Scale ${nameOf(row)}`, error);
  }
}

/** Asks for how long and pauses. */
export async function pause(row) {
  const fields = [{ name: "seconds", label: "For", options: PAUSES }];
  const text = "Workers drain and leave. Messages wait in the queue; afterwards the workers come back by themselves.";
  const answer = await ask({ title: `Pause ${nameOf(row)}?`, text, confirm: "Pause", fields });
  if (!answer) return;
  const until = answer.seconds ? new Date(Date.now() + Number(answer.seconds) * 1000).toISOString() : ENDLESS;
  await set(row, until, `${nameOf(row)} is paused ${untilWords(until)}`);
}

/** Ends a pause. */
export const resume = (row) => set(row, null, `${nameOf(row)} goes on`);

async function set(row, until, done) {
  try {
    await changeEach(row.tenant_id, (settings) => ({ ...settings, paused_until: until }));
    notice(done);
  } catch (error) {
    failure(`Pause ${nameOf(row)}`, error);
  }
}
