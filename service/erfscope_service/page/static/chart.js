// Lines over an axis: profiles, 1-D maps, depth. One figure for all of them.

import { bottom, frame, left, line, path, text, ticks } from "/page/axes.js";
import { svg } from "/page/dom.js";

const DASHES = ["none", "7 4", "2 3", "10 3 2 3"];

// series: [{ name, points: [[x, y] …], fill, marks }]; spans: [{ from, to, opacity }]; rules: [{ at, colour, name }].
// Returns { svg, plot, across, down, at }.
export function chart({ series, spans = [], rules = [], x, y, colours, width, height = 260, label }) {
  const rows = legendRows([...series.filter((one) => one.name), ...rules.filter((one) => one.name)], width - 70);
  const plot = { x: 62, y: 12, w: width - 62 - 14, h: height - 12 - 44 };
  const across = (value) => plot.x + ((value - x.low) / (x.high - x.low || 1)) * plot.w;
  const placed = y.place ?? ((value) => (value - y.low) / (y.high - y.low || 1));
  const down = (value) => plot.y + plot.h * (1 - placed(value));
  const place = { plot, across, down, colours };
  const root = frame(width, height + 20 * rows.length, label);
  root.append(
    ...spans.map((span) => shade(span, x, place)),
    ...axes(x, y, place),
    ...rules.filter(({ at }) => at >= x.low && at <= x.high).map((rule) => upright(rule, place)),
    ...series.flatMap((one, i) => drawn(one, i, colours, across, down, plot)),
    legend(rows, plot.x, height + 8, colours, series),
  );
  const at = (px) => x.low + ((px - plot.x) / plot.w) * (x.high - x.low);
  return { svg: root, plot, across, down, at };
}

function shade({ from, to, opacity }, x, { plot, across, colours }) {
  const [start, stop] = [from, to].map((value) => across(Math.min(x.high, Math.max(x.low, value))));
  const box = { x: start, y: plot.y, width: Math.max(0, stop - start), height: plot.h };
  return svg("rect", { ...box, "fill": colours.series[0], "fill-opacity": opacity });
}

// Grid lines, ticks and titles of both axes, and the two lines themselves.
function axes(x, y, { plot, across, down, colours }) {
  const ys = y.ticks ?? ticks(y.low, y.high, plot.h / 45);
  const xs = new Map(x.ticks ?? ticks(x.low, x.high, plot.w / 80).map((value) => [value, String(value)]));
  const below = { middle: plot.x + plot.w / 2, word: (value) => xs.get(value) };
  const beside = { middle: plot.y + plot.h / 2, space: 46, word: y.word ?? String };
  const d = `M${plot.x} ${plot.y}V${plot.y + plot.h}H${plot.x + plot.w}`;
  return [
    ...ys.map((value) => line(plot.x, down(value), plot.x + plot.w, down(value), colours.soft)),
    bottom([...xs.keys()], across, plot.y + plot.h, x.title, colours, below),
    left(ys, down, plot.x, y.title, colours, beside),
    svg("path", { d, fill: "none", stroke: colours.line }),
  ];
}

function upright({ at, colour, dash = "9 5" }, { plot, across }) {
  const look = { "stroke-width": 1.6, "stroke-dasharray": dash };
  return line(across(at), plot.y, across(at), plot.y + plot.h, colour, look);
}

function drawn(one, i, colours, across, down, plot) {
  const stroke = one.colour ?? colours.series[i % colours.series.length];
  const points = one.points
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([at, value]) => [across(at), down(value)]);
  if (!points.length) return [];
  const made = [];
  if (one.fill) {
    const closed = [[points[0][0], plot.y + plot.h], ...points, [points.at(-1)[0], plot.y + plot.h]];
    made.push(svg("path", { "d": path(closed, true), "fill": stroke, "fill-opacity": 0.25 }));
  }
  made.push(
    svg("path", {
      "d": path(points),
      "fill": "none",
      stroke,
      "stroke-width": 1.8,
      "stroke-dasharray": DASHES[i % DASHES.length],
      "stroke-linejoin": "round",
    }),
  );
  if (one.marks) made.push(...points.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.6, fill: stroke })));
  return made;
}

function legendRows(items, width) {
  const rows = [];
  let used = Infinity;
  for (const item of items) {
    const needed = 50 + 6.3 * item.name.length;
    if (used + needed > width) (rows.push([]), (used = 0));
    rows.at(-1).push([item, used]);
    used += needed;
  }
  return rows;
}

function legend(rows, x, y, colours, series) {
  const group = svg("g");
  rows.forEach((row, i) =>
    row.forEach(([item, offset]) => {
      const index = series.indexOf(item);
      const stroke = item.colour ?? colours.series[index % colours.series.length];
      const dash = item.dash ?? (index < 0 ? "9 5" : DASHES[index % DASHES.length]);
      const base = y + 20 * i;
      group.append(
        line(x + offset, base - 4, x + offset + 28, base - 4, stroke, { "stroke-width": 2, "stroke-dasharray": dash }),
      );
      group.append(text(item.name, x + offset + 34, base, colours.muted, { "text-anchor": "start" }));
    }),
  );
  return group;
}
