// A plane of a map as a figure: the painted map under Observable Plot's axes, contours, TRF box, marginals and bar.

import * as Plot from "/page/observable-plot.js";
import { caption, drawn, inset, plain } from "/page/charts.js";
import { accent, interpolator, table } from "/page/colormaps.js";
import { SHARES, within } from "/page/contours.js";
import { h, svg } from "/page/dom.js";
import { marginals, maximum } from "/page/field.js";
import { by, inUnit, lengthUnit, number, percent } from "/page/format.js";
import { FONT } from "/page/palette.js";
import { SCALES, place } from "/page/scales.js";
import { boxWords } from "/page/window.js";

const TALLEST = 520; // pixels
const [AXIS, BAR, PROFILE] = [40, 50, 46]; // pixels for the axis and the bar below the plot, and for a profile
const NO_LINES = "No contours: the map has gaps, and lines would surround its single pixels. ";
const DASHES = [undefined, "7 4", "1.5 3.5"]; // 50, 90, 99 %

// `window` is [x0, x1, y0, y1] in pixel-centre coordinates, `width` and `tallest` are what there is. Returns the SVG,
// where its plot is, and the ways between places on it and pixels of the map.
export function heatmap(subject) {
  const { window: range, width, colours, look, label, rank, names, trf, contours, barTitle } = subject;
  const tallest = Math.min(TALLEST, subject.tallest ?? TALLEST);
  const plot = placed(range, width, look.marginals ? PROFILE : 8, tallest);
  const words = caption(wordsOf(subject), width - plot.x);
  const unit = lengthUnit(rank);
  const below = AXIS + BAR + words.height + 10;
  const few = (extent) => Math.max(2, Math.min(8, extent / 70));
  const axis = { labelAnchor: "center", labelArrow: "none", tickFormat: (value) => number(value) };
  const root = drawn({
    ...{ colours, label, width, height: plot.y + plot.h + below },
    ...{ marginLeft: plot.x, marginTop: plot.y, marginRight: width - plot.x - plot.w, marginBottom: below },
    x: { ...axis, domain: range.slice(0, 2), label: `${names[1]} (${unit})`, labelOffset: 32, ticks: few(plot.w) },
    y: { ...axis, domain: range.slice(2).reverse(), label: `${names[0]} (${unit})`, ticks: few(plot.h) },
    marks: [
      () => picture(subject, plot),
      ...(isTraced(subject) ? within(contours.lines, trf?.box).flatMap(contourLines) : []),
      ...(look.trf && trf ? trfMarks(trf, accent(look.colormap)) : []),
      Plot.frame({ stroke: colours.line }),
    ],
  });
  if (look.marginals) addProfiles(root, subject, plot);
  inset(root, bar(look, barTitle, plot.w, colours), plot.x, plot.y + plot.h + AXIS);
  words.draw(root, plot.x, plot.y + plot.h + AXIS + BAR + 14, colours);
  const [x, y] = [root.scale("x"), root.scale("y")];
  const at = (px, py) => [Math.round(x.invert(px)), Math.round(y.invert(py))];
  const wide = plot.x + plot.w + plot.side + 6; // without an empty strip beside the plot
  return { svg: root, plot, wide, at, across: x.apply, down: y.apply };
}

function placed([x0, x1, y0, y1], width, side, tallest) {
  const x = width < 480 && y1 < 1000 ? 48 : 56; // tick labels and the axis' name, side by side
  const room = width - x - side - 6;
  const wide = Math.min(room, (tallest * (x1 - x0)) / (y1 - y0));
  return { x, y: side + 6, w: wide, h: (wide * (y1 - y0)) / (x1 - x0), side };
}

const isTraced = ({ look, contours }) => look.contours && contours && !contours.isScattered;

function wordsOf(subject) {
  const { look, rank, trf, contours, plane, window: [x0, x1, y0, y1] } = subject;
  const unit = lengthUnit(rank);
  const smoothing = contours?.blur ? ` (lines smoothed by ${contours.blur} ${unit})` : "";
  const [half, most, all] = SHARES.map((share) => percent(share));
  const lines = `White lines hold ${half} (solid), ${most} (dashed) and ${all} (dotted) of the mass${smoothing}. `;
  const range = [[y0, y1], [x0, x1]];
  const box = look.trf && trf?.box ? boxWords(trf, range, "Dashed box", inUnit(by(trf.size), unit)) : "";
  const gaps = look.contours && contours?.isScattered ? NO_LINES : "";
  const isPart = x1 - x0 < plane.width || y1 - y0 < plane.height;
  const part = isPart ? `A part of the input of ${inUnit(by([plane.height, plane.width]), unit)}. ` : "";
  const cross = look.trf && trf?.center ? "Cross: projected centre." : "";
  return `${part}${isTraced(subject) ? lines : gaps}${box}${cross}`;
}

// The user's image and the map over it, in a view of their own, so that the browser scales and cuts them.
function picture(subject, plot) {
  const { plane, image, colours } = subject;
  const [x0, x1, y0, y1] = subject.window;
  const box = { x: -0.5, y: -0.5, width: plane.width, height: plane.height };
  const isEnlarged = plot.w > x1 - x0;
  const look = { "preserveAspectRatio": "none", "image-rendering": isEnlarged ? "pixelated" : "auto" };
  return svg(
    "svg",
    {
      ...{ x: plot.x, y: plot.y, width: plot.w, height: plot.h },
      ...{ viewBox: `${x0} ${y0} ${x1 - x0} ${y1 - y0}`, preserveAspectRatio: "none" },
    },
    svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: colours.soft }),
    ...(image ? [svg("image", { ...box, href: image.url, preserveAspectRatio: "xMidYMid slice" })] : []),
    svg("image", { ...box, ...look, class: "map", href: raster(subject).toDataURL() }),
  );
}

// The colours, one map pixel each; over an image, small values let it shine through.
function raster({ plane, look, top, image, opacity }) {
  const canvas = h("canvas", { width: plane.width, height: plane.height });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(plane.width, plane.height);
  const colours = table(look.colormap);
  plane.values.forEach((value, i) => {
    const share = place(value / top, look.scale);
    const from = 4 * Math.round(255 * share);
    pixels.data.set(colours.subarray(from, from + 4), 4 * i);
    if (image) pixels.data[4 * i + 3] = 255 * opacity * Math.min(1, 0.12 + 1.2 * share);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function contourLines([, rings], i) {
  const points = rings.flatMap((ring, z) => ring.map(([x, y]) => ({ x, y, z })));
  const line = { x: "x", y: "y", z: "z", clip: true };
  return [
    Plot.line(points, { ...line, stroke: "#000", strokeOpacity: 0.4, strokeWidth: 3.2 }),
    Plot.line(points, { ...line, stroke: "#fff", strokeWidth: 1.5, strokeDasharray: DASHES[i] }),
  ];
}

function trfMarks({ box, center }, stroke) {
  const marks = [];
  if (box) {
    const [[y1, y2], [x1, x2]] = box.map((ends) => ends.map((end) => [end - 0.5]));
    marks.push(Plot.rect([0], { x1, x2, y1, y2, stroke, strokeWidth: 1.8, strokeDasharray: "9 5", clip: true }));
  }
  if (center) {
    const cross = { x: [center[1]], y: [center[0]], symbol: "plus", r: 7, clip: true };
    marks.push(Plot.dot([0], { ...cross, stroke: "#000", strokeOpacity: 0.5, strokeWidth: 4 }));
    marks.push(Plot.dot([0], { ...cross, stroke, strokeWidth: 2 }));
  }
  return marks;
}

// Mass by column above the plot and by row beside it, each to its own maximum, inside the window.
function addProfiles(root, { plane, window: [x0, x1, y0, y1], colours }, plot) {
  const { rows, columns } = marginals(plane);
  const across = steps(columns, x0, x1);
  const down = steps(rows, y0, y1);
  const size = plot.side - 4;
  const common = { ...{ colours, label: "Mass by column and by row", margin: 0 }, axis: null };
  const look = { fill: colours.series[0], fillOpacity: 0.22, stroke: colours.series[0], strokeWidth: 1.2 };
  const above = { ...common, width: plot.w, height: size, x: { domain: [x0, x1] }, y: { domain: [0, across.top] } };
  const beside = { ...common, width: size, height: plot.h, x: { domain: [0, down.top] }, y: { domain: [y1, y0] } };
  const [columnMarks, rowMarks] = [
    Plot.areaY(across.points, { x: "0", y1: 0, y2: "1", ...look }),
    Plot.areaX(down.points, { y: "0", x1: 0, x2: "1", ...look }),
  ];
  add(drawn({ ...above, marks: [columnMarks] }), "by-column", plot.x, 4);
  add(drawn({ ...beside, marks: [rowMarks] }), "by-row", plot.x + plot.w + 5, plot.y);

  function add(profile, name, x, y) {
    profile.classList.add("marginal", name);
    inset(root, profile, x, y);
  }
}

// The outline of bars of one pixel each, [[place, mass] …] with a corner at either edge of a pixel, and the largest
// mass inside of the window. The library's own steps run along x alone: of a profile along y they would fill the gaps.
function steps(masses, low, high) {
  const inside = [...masses].map((mass, i) => [i, mass]).filter(([i]) => i + 0.5 > low && i - 0.5 < high);
  const clamp = (place) => Math.min(high, Math.max(low, place));
  return {
    points: inside.flatMap(([i, mass]) => [-0.5, 0.5].map((half) => [clamp(i + half), mass])),
    top: maximum(inside.map(([, mass]) => mass)) || 1,
  };
}

function bar({ scale, colormap }, label, width, colours) {
  const { ticks, tickFormat, ...color } = SCALES[scale].scale;
  const style = { color: colours.muted, fontFamily: FONT, fontSize: "11px", overflow: "visible" };
  const options = { label, width, height: 46, ticks, tickFormat, style };
  return plain(Plot.legend({ color: { ...color, interpolate: interpolator(colormap) }, ...options }));
}
