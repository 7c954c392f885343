// A plane of a map as a figure: canvas for the colours, SVG for axes, contours, TRF box, marginals, colour bar, legend.

import { accent, css, table } from "/page/colormaps.js";
import { bottom, frame, left, line, path, text, ticks } from "/page/axes.js";
import { h, svg } from "/page/dom.js";
import { marginals, maximum } from "/page/field.js";
import { SCALES, place } from "/page/scales.js";

const TALLEST = 640;
// Pixels left of the plot, of a marginal profile, of the colour bar, and right of it for its words.
const ROOMY = { left: 56, side: 46, bar: 14, right: 68, title: true };
const NARROW = { left: 42, side: 22, bar: 10, right: 48, title: false };
const sizesFor = (width) => (width < 480 ? NARROW : ROOMY);
const DASHES = ["none", "7 4", "1.5 3.5"]; // 50, 90, 99 %

// Where everything goes. `window` is [x0, x1, y0, y1] in pixel-centre coordinates, `width` what there is.
function layout({ window: [x0, x1, y0, y1], width, look, trf, contours }) {
  const sizes = sizesFor(width);
  const side = look.marginals ? sizes.side + 6 : 0;
  const [x, y] = [sizes.left, 8 + side];
  const room = width - x - side - sizes.bar - sizes.right;
  const shrink = Math.min(1, TALLEST / ((room * (y1 - y0)) / (x1 - x0)));
  const plot = { x, y, w: room * shrink, h: (room * shrink * (y1 - y0)) / (x1 - x0) };
  const items = legendItems({ look, trf, contours });
  const rows = legendRows(items, width - x);
  return { plot, side, sizes, rows, width, height: plot.y + plot.h + 44 + 20 * rows.length };
}

// { svg, canvas, plot, at }: the parts of a figure; `at` turns a place on it into [x, y] of the map.
export function heatmap(subject) {
  const {
    plane,
    window: [x0, x1, y0, y1],
    colours,
    look,
    label,
    names,
  } = subject;
  const place_ = layout(subject);
  const { plot } = place_;
  const across = (value) => plot.x + ((value - x0) / (x1 - x0)) * plot.w;
  const down = (value) => plot.y + ((value - y0) / (y1 - y0)) * plot.h;
  const root = frame(place_.width, place_.height, label);
  const canvas = painted(subject, plot);
  const clip = `clip-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  root.append(
    svg(
      "defs",
      {},
      svg("clipPath", { id: clip }, svg("rect", { x: plot.x, y: plot.y, width: plot.w, height: plot.h })),
    ),
  );
  const marks = svg("g", { "clip-path": `url(#${clip})`, "fill": "none" });
  if (look.contours && subject.contours) marks.append(...contourLines(subject.contours, across, down));
  if (look.trf && subject.trf) marks.append(...trfMarks(subject, across, down));
  root.append(
    marks,
    svg("rect", { x: plot.x, y: plot.y, width: plot.w, height: plot.h, fill: "none", stroke: colours.line }),
  );
  const few = (extent) => Math.min(8, extent / 70);
  root.append(
    bottom(ticks(x0 + 0.5, x1 - 0.5, few(plot.w)), across, plot.y + plot.h, `${names[1]} (px)`, colours, {
      middle: plot.x + plot.w / 2,
    }),
  );
  root.append(
    left(ticks(y0 + 0.5, y1 - 0.5, few(plot.h)), down, plot.x, `${names[0]} (px)`, colours, {
      middle: plot.y + plot.h / 2,
      space: place_.sizes.left - 14,
    }),
  );
  if (look.marginals) root.append(...profiles(subject, plot, across, down, place_.sizes.side));
  root.append(bar(subject, plot.x + plot.w + place_.side + 10, plot, place_.sizes));
  root.append(legend(place_.rows, plot.x, plot.y + plot.h + 56, look, colours));
  const at = (px, py) => [
    Math.round(x0 + ((px - plot.x) / plot.w) * (x1 - x0)),
    Math.round(y0 + ((py - plot.y) / plot.h) * (y1 - y0)),
  ];
  return { svg: root, canvas, plot, at, across, down };
}

// The colours, one map pixel each; over an image, small values let it shine through.
function raster({ plane, look, top, image, opacity }) {
  const canvas = h("canvas", { width: plane.width, height: plane.height });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(plane.width, plane.height);
  const colours = table(look.colormap);
  plane.values.forEach((value, i) => {
    const share = place(value / top, look.scale);
    const from = 3 * Math.round(255 * share);
    pixels.data.set(
      [
        colours[from],
        colours[from + 1],
        colours[from + 2],
        image ? 255 * opacity * Math.min(1, 0.12 + 1.2 * share) : 255,
      ],
      4 * i,
    );
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function painted(subject, plot) {
  const {
    plane,
    window: [x0, x1, y0, y1],
    image,
    colours,
  } = subject;
  const dense = Math.max(2, globalThis.devicePixelRatio || 1);
  const canvas = h("canvas", { width: Math.round(plot.w * dense), height: Math.round(plot.h * dense) });
  canvas.setAttribute("aria-hidden", "true");
  const context = canvas.getContext("2d");
  context.fillStyle = colours.soft;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const zoom = canvas.width / (x1 - x0);
  const box = [(-0.5 - x0) * zoom, (-0.5 - y0) * zoom, plane.width * zoom, plane.height * zoom];
  if (image) context.drawImage(image, ...covering(image, box[2] / box[3]), ...box);
  context.imageSmoothingEnabled = zoom < 1;
  context.drawImage(raster(subject), ...box);
  return canvas;
}

// The largest middle part of an image that has the input's proportions.
function covering({ width, height }, aspect) {
  const [w, tall] = width / height > aspect ? [height * aspect, height] : [width, width / aspect];
  return [(width - w) / 2, (height - tall) / 2, w, tall];
}

function contourLines({ lines }, across, down) {
  return lines.flatMap(([, closed], i) => {
    const d = closed
      .map((points) =>
        path(
          points.map(([x, y]) => [across(x), down(y)]),
          true,
        ),
      )
      .join("");
    if (!d) return [];
    const thin = { d, "stroke-dasharray": DASHES[i], "stroke-linejoin": "round" };
    return [
      svg("path", { d, "stroke": "#000", "stroke-opacity": 0.4, "stroke-width": 3.2 }),
      svg("path", { ...thin, "stroke": "#fff", "stroke-width": 1.5 }),
    ];
  });
}

function trfMarks({ trf, look }, across, down) {
  const colour = accent(look.colormap);
  const marks = [];
  if (trf.box) {
    const [[top, bottom_], [start, stop]] = trf.box.map(([from, to]) => [from - 0.5, to - 0.5]);
    const rect = {
      x: across(start),
      y: down(top),
      width: across(stop) - across(start),
      height: down(bottom_) - down(top),
    };
    marks.push(svg("rect", { ...rect, "stroke": colour, "stroke-width": 1.8, "stroke-dasharray": "9 5" }));
  }
  if (trf.center) {
    const [y, x] = [down(trf.center[0]), across(trf.center[1])];
    const cross = { d: `M${x - 7} ${y}H${x + 7}M${x} ${y - 7}V${y + 7}` };
    marks.push(
      svg("path", { ...cross, "stroke": "#000", "stroke-opacity": 0.5, "stroke-width": 4 }),
      svg("path", { ...cross, "stroke": colour, "stroke-width": 2 }),
    );
  }
  return marks;
}

// Mass by column above the plot and by row beside it, each to its own maximum, inside the window.
function profiles({ plane, window: [x0, x1, y0, y1], colours }, plot, across, down, side) {
  const { rows, columns } = marginals(plane);
  const seen = (values, low, high) => [...values].map((value, i) => [i, value]).filter(([i]) => i >= low && i <= high);
  const stairs = (values, low, high, to, out) => {
    const bins = seen(values, low, high);
    const top = maximum(bins.map(([, value]) => value)) || 1;
    return bins.flatMap(([i, value]) => [
      [to(Math.max(low, i - 0.5)), out(value / top)],
      [to(Math.min(high, i + 0.5)), out(value / top)],
    ]);
  };
  const fill = { "fill": colours.series[0], "fill-opacity": 0.22, "stroke": colours.series[0], "stroke-width": 1.2 };
  const up = stairs(columns, x0, x1, across, (share) => plot.y - 5 - share * (side - 4));
  const right = stairs(rows, y0, y1, down, (share) => plot.x + plot.w + 5 + share * (side - 4));
  const base = [plot.y - 5, plot.x + plot.w + 5];
  if (!up.length || !right.length) return [];
  return [
    svg("path", { d: path([[up[0][0], base[0]], ...up, [up.at(-1)[0], base[0]]]), ...fill }),
    svg("path", {
      d: path([[base[1], right[0][0]], ...right.map(([y, x]) => [x, y]), [base[1], right.at(-1)[0]]]),
      ...fill,
    }),
  ];
}

function bar({ look, colours, barTitle }, x, plot, { bar: wide, title }) {
  const steps = 64;
  const group = svg("g");
  for (let i = 0; i < steps; i++) {
    const rect = { x, y: plot.y + plot.h * (1 - (i + 1) / steps), width: wide, height: plot.h / steps + 0.6 };
    group.append(svg("rect", { ...rect, fill: css(look.colormap, (i + 0.5) / steps) }));
  }
  const { ticks: all, place: placed } = SCALES[look.scale];
  const marks = all.filter(([share], i) => i === 0 || i === all.length - 1 || plot.h > 220 || i % 2 === 0);
  for (const [share, words] of marks) {
    const y = plot.y + plot.h * (1 - placed(share));
    group.append(
      line(x + wide, y, x + wide + 4, y, colours.muted),
      text(words, x + wide + 7, y + 4, colours.muted, { "text-anchor": "start" }),
    );
  }
  const turned = `translate(${x + wide + 44} ${plot.y + plot.h / 2}) rotate(-90)`;
  group.append(svg("rect", { x, y: plot.y, width: wide, height: plot.h, fill: "none", stroke: colours.line }));
  if (title && plot.h > 150) group.append(text(barTitle, 0, 0, colours.muted, { transform: turned }));
  return group;
}

function legendItems({ look, trf, contours }) {
  const items = [];
  if (look.contours && contours) {
    items.push(...["50 %", "90 %", "99 %"].map((share, i) => [i, `${share} of the mass`]));
    if (contours.sigma) items.push([null, `(lines smoothed by ${contours.sigma} px)`]);
  }
  if (look.trf && trf?.box) items.push(["trf", `TRF ${trf.size.join(" × ")} px`]);
  if (look.trf && trf?.center) items.push(["center", "projected centre"]);
  return items;
}

const widthOf = ([kind, words]) => words.length * 6.1 + (kind === null ? 10 : 44);

function legendRows(items, width) {
  const rows = [];
  let used = Infinity;
  for (const item of items) {
    if (used + widthOf(item) > width) (rows.push([]), (used = 0));
    rows.at(-1).push([item, used]);
    used += widthOf(item);
  }
  return rows;
}

function legend(rows, x, y, look, colours) {
  const group = svg("g");
  rows.forEach((row, i) =>
    row.forEach(([[kind, words], offset]) => {
      const [from, base] = [x + offset, y + 20 * i];
      if (kind !== null)
        group.append(
          svg("rect", { x: from, y: base - 11, width: 30, height: 14, rx: 2, fill: css(look.colormap, 0.25) }),
        );
      const stroke = typeof kind === "number" ? "#fff" : accent(look.colormap);
      const dash = typeof kind === "number" ? DASHES[kind] : kind === "trf" ? "9 5" : "none";
      const d = kind === "center" ? `M${from + 9} ${base - 4}h12m-6 -6v12` : `M${from + 3} ${base - 4}h24`;
      if (kind !== null)
        group.append(svg("path", { d, stroke, "stroke-width": 1.8, "stroke-dasharray": dash, "fill": "none" }));
      group.append(text(words, from + (kind === null ? 0 : 36), base, colours.muted, { "text-anchor": "start" }));
    }),
  );
  return group;
}
