// A tenant's workers, as the operating system sees their processes.

import { WORKERS, get } from "./api.js";
import { badge } from "./badge.js";
import { el, text } from "./dom.js";
import { bytes, count, duration, time } from "./format.js";
import { filling, panel, settled } from "./panel.js";

const HEADS = ["Worker", "State", "Pid", "Uptime", "Process no.", "Memory", "CPU", "Messages", "Restarts", "Last exit", "Why"];

/** The panel. */
export function workers(tenant) {
  const body = el("tbody");
  const table = el("table", { class: "plain-table" }, el("thead", {}, el("tr", {}, HEADS.map((head) => el("th", { scope: "col" }, head)))), body);
  const scroll = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Workers, scrolls sideways" }, table);
  const element = panel("workers-panel", "Workers", null, scroll);
  let uptimes = [];

  const load = () =>
    filling(element, async () => {
      const status = await get(`${WORKERS}/tenant/${tenant}/status`);
      uptimes = [];
      body.replaceChildren(...status.workers.map(worker));
    });
  function worker(one) {
    const uptime = el("td", { class: "figure" }, duration(one.uptime_seconds));
    if (one.uptime_seconds !== null) uptimes.push({ element: uptime, since: Date.now() - one.uptime_seconds * 1000 });
    const exit = one.last_exit ? [el("span", { class: "verdict", data: { verdict: one.last_exit.verdict.split("(")[0] }, title: one.last_exit.detail }, one.last_exit.verdict), " ", time(one.last_exit.at)] : ["–"];
    const messages = one.messages ? `${count(one.messages.done)} done, ${count(one.messages.in_flight)} in hand` : "–";
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, one.name),
      el("td", {}, badge(one.state)),
      el("td", { class: "figure" }, one.pid === null ? "–" : String(one.pid)),
      uptime,
      el("td", { class: "figure" }, String(one.incarnation)),
      el("td", { class: "figure" }, bytes(one.resident_memory_bytes)),
      el("td", { class: "figure" }, one.cpu_seconds === null ? "–" : `${one.cpu_seconds.toFixed(1)} s`),
      el("td", {}, messages),
      el("td", { class: "figure" }, count(one.restarts)),
      el("td", {}, exit),
      el("td", { class: "why" }, one.reason),
    );
  }

  const soon = settled(load);
  const tick = setInterval(() => {
    for (const { element: place, since } of uptimes) text(place, duration((Date.now() - since) / 1000));
  }, 1000);
  return {
    element,
    onRow: soon,
    onEvent: soon,
    onOpen: load,
    leave() {
      soon.cancel();
      clearInterval(tick);
    },
  };
}
