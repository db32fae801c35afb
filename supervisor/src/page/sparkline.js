// A line as small as a word.

import { svg } from "./dom.js";

const WIDTH = 84;
const HEIGHT = 20;

/** An empty drawing; what it shows is told in words beside it. */
export function sparkline() {
  const line = svg("polyline", { points: "" });
  const drawing = svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, line);
  drawing.line = line;
  return drawing;
}

/** Draws values; the scale begins at nought, so that a little noise looks like a little noise. */
export function draw(drawing, values) {
  const last = values.length - 1;
  const most = Math.max(1, ...values) * 1.1;
  const place = (value, index) =>
    `${((index / Math.max(1, last)) * WIDTH).toFixed(1)},${(HEIGHT - 1 - (value / most) * (HEIGHT - 2)).toFixed(1)}`;
  const points = last < 1 || most < 2 ? "" : values.map(place).join(" ");
  if (drawing.shown !== points) {
    drawing.shown = points;
    drawing.line.setAttribute("points", points);
  }
}
