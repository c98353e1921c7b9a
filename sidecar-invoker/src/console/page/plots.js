// Line plots, drawn as SVG.

import { svg } from "./dom.js";

const WIDTH = 320;
const HEIGHT = 72;
const TOP = 6;
const MAX_GAP = 10;

/**
 * Draws lines over a common axis of time.
 *
 * `lines` are `{name, values}`, one value a second, the newest last; null is a gap. `length` is the number of
 * seconds that the plot shows, `unit(value)` writes a value, and `label` says what the plot shows.
 */
export function plot({ lines, length, unit, label }) {
  const all = lines.flatMap(({ values }) => values).filter((value) => value !== null);
  const top = roundUp(Math.max(...all, 0));
  const x = (at, size) => WIDTH - ((size - 1 - at) * WIDTH) / (length - 1);
  const y = (value) => HEIGHT - (value / top) * (HEIGHT - TOP);
  const drawn = lines.map(({ name, values }) => {
    const points = values.map((value, at) => (value === null ? null : [x(at, values.length), y(value)]));
    return [
      svg("path", { class: `area ${name}`, d: area(points) }),
      svg("path", { class: `line ${name}`, d: line(points), "vector-effect": "non-scaling-stroke" }),
    ];
  });
  const rule = (at) => svg("line", { class: "rule", x1: 0, x2: WIDTH, y1: at, y2: at });
  const image = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    rule(y(top)),
    rule(y(top / 2)),
    rule(HEIGHT - 0.5),
    drawn.flat(),
  );
  return { image, top: unit(top) };
}

/** Returns the next of 1, 2, 5, 10, 20, 50 … that is no less than `value`. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/** Returns the points as lines without gaps. A line goes on over a few seconds without a value. */
function runs(points) {
  const found = [[]];
  let gap = 0;
  for (const point of points) {
    gap = point === null ? gap + 1 : 0;
    if (gap > MAX_GAP) found.push([]);
    else if (point !== null) found[found.length - 1].push(point);
  }
  return found.filter((run) => run.length > 0);
}

const path = (run) => run.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L");

function line(points) {
  // A point alone would be invisible.
  return runs(points).map((run) => `M${path(run)}${run.length === 1 ? "h1" : ""}`).join("");
}

function area(points) {
  return runs(points)
    .map((run) => `M${path(run)}V${HEIGHT}H${run[0][0].toFixed(1)}Z`)
    .join("");
}
