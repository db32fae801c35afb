// The buttons for one tenant, in its row and on its page.

import { el, iconButton, relabel } from "./dom.js";
import { order } from "./orders.js";
import { pause, resume, scale } from "./scaling.js";

/** Buttons for the tenant that `current()` returns; `show(row)` makes them fit it. */
export function controls(current, more = {}) {
  const up = () => runs(current());
  const paused = () => isPaused(current());
  const startStop = iconButton("start", "Start", () => order(up() ? "stop" : "start", current()), more);
  const restart = iconButton("restart", "Restart", () => order("restart", current()), more);
  const workers = iconButton("scale", "Scale", () => scale(current()), more);
  const pausing = iconButton("pause", "Pause", () => (paused() ? resume(current()) : pause(current())), more);
  const element = el("span", { class: "controls" }, startStop, restart, workers, pausing);
  const show = (row) => {
    const whom = `tenant ${row.tenant_id}`;
    if (runs(row)) relabel(startStop, "stop", `Stop ${whom}`);
    else relabel(startStop, "start", `Start ${whom}`);
    relabel(restart, "restart", `Restart ${whom}`);
    relabel(workers, "scale", `Scale ${whom}`);
    if (isPaused(row)) relabel(pausing, "resume", `Resume ${whom}`);
    else relabel(pausing, "pause", `Pause ${whom}`);
  };
  return { element, show };
}

/** Whether a pause holds now. */
export const isPaused = (row) => row.paused_until !== null && new Date(row.paused_until) > new Date();

// A tenant that was given up is started, although it is wanted up.
const runs = (row) => row.desired === "up" && row.state !== "FATAL";
