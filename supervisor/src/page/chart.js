// Two hours of a tenant: memory, messages per second and queue depth, one above the other on the same time.

import { WORKERS, get } from "./api.js";
import { el, svg, text } from "./dom.js";
import { bytes, count, moment, rate } from "./format.js";
import { filling, panel } from "./panel.js";

const WIDTH = 600;
const HEIGHT = 72;
const AGAIN = 15000;
const SERIES = [
  ["memory", "Memory", (point) => point.resident_memory_bytes, bytes],
  ["throughput", "Messages/s", (point) => point.throughput, rate],
  ["depth", "Ready", (point) => point.messages_ready, count],
];

/** The panel. */
export function chart(tenant) {
  const plots = SERIES.map(plot);
  const from = el("span");
  const to = el("span");
  const axis = el("div", { class: "axis quiet", "aria-hidden": "true" }, from, to);
  const element = panel("chart", "The last two hours", null, ...plots.map((one) => one.element), axis);

  const load = () =>
    filling(element, async () => {
      const { points, step_seconds: step } = await get(`${WORKERS}/tenant/${tenant}/history`);
      for (const one of plots) one.show(points, step);
      text(from, points.length > 0 ? moment(points[0].at * 1000) : "nothing yet");
      text(to, points.length > 0 ? moment(points.at(-1).at * 1000) : "");
    });
  const timer = setInterval(() => document.hidden || load(), AGAIN);
  return { element, onOpen: load, leave: () => clearInterval(timer) };
}

function plot([name, title, value, format]) {
  const area = svg("path", { class: "area" });
  const stroke = svg("path", { class: "stroke" });
  const hair = svg("line", { class: "hair", y1: 0, y2: HEIGHT, visibility: "hidden" });
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" }, area, stroke, hair);
  const most = el("span", { class: "most quiet" });
  const here = el("b");
  const element = el("figure", { class: `plot ${name}` }, el("figcaption", {}, el("span", {}, title), here, most), drawing);
  let points = [];
  let x = () => 0;

  const latest = () => {
    const last = points.at(-1);
    text(here, last ? format(value(last)) : "–");
  };
  drawing.addEventListener("pointermove", (event) => {
    if (points.length === 0) return;
    const box = drawing.getBoundingClientRect();
    const wanted = ((event.clientX - box.left) / box.width) * WIDTH;
    const near = points.reduce((best, point) => (Math.abs(x(point) - wanted) < Math.abs(x(best) - wanted) ? point : best));
    for (const end of ["x1", "x2"]) hair.setAttribute(end, x(near));
    hair.setAttribute("visibility", "visible");
    text(here, `${format(value(near))} at ${moment(near.at * 1000)}`);
  });
  drawing.addEventListener("pointerleave", () => {
    hair.setAttribute("visibility", "hidden");
    latest();
  });

  function show(next, step) {
    points = next;
    const known = points.map(value).filter((one) => one !== null);
    const top = Math.max(...known, 0);
    const scale = top > 0 ? top * 1.1 : 1;
    const begin = points[0]?.at ?? 0;
    const span = Math.max(1, (points.at(-1)?.at ?? 1) - begin);
    x = (point) => ((point.at - begin) / span) * WIDTH;
    const y = (point) => HEIGHT - 1 - (value(point) / scale) * (HEIGHT - 4);
    // Where nothing was known, or the supervisor was away, the line has a gap.
    const pieces = [];
    points.forEach((point, index) => {
      if (value(point) === null) return;
      const before = points[index - 1];
      const joined = before && value(before) !== null && point.at - before.at <= step * 2.5;
      if (joined) pieces.at(-1).push(point);
      else pieces.push([point]);
    });
    const path = (piece) => piece.map((point) => `${x(point).toFixed(1)} ${y(point).toFixed(1)}`).join("L");
    stroke.setAttribute("d", pieces.map((piece) => `M${path(piece)}`).join(""));
    area.setAttribute("d", pieces.map((piece) => `M${x(piece[0]).toFixed(1)} ${HEIGHT}L${path(piece)}V${HEIGHT}Z`).join(""));
    text(most, known.length > 0 ? `most ${format(top)}` : "");
    latest();
    drawing.setAttribute("aria-label", known.length > 0 ? `${title}: now ${format(known.at(-1))}, most ${format(top)}` : `${title}: nothing yet`);
  }
  return { element, show };
}
