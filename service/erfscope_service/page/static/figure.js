// One map to look at: draws itself anew as the look changes, reads values under the pointer or the arrow keys.

import { palette } from "/page/palette.js";
import { traced, SHARES } from "/page/contours.js";
import { curve } from "/page/curve.js";
import { announce, h, svg } from "/page/dom.js";
import { massLevels, maximum, plane } from "/page/field.js";
import { inUnit, lengthUnit, number } from "/page/format.js";
import { heatmap } from "/page/heatmap.js";
import { slicer } from "/page/slices.js";
import { look, whileShown } from "/page/state.js";
import { overlay } from "/page/overlay.js";
import { windowOf } from "/page/window.js";

const AXES = ["z", "y", "x"];
const LOWEST = 300; // pixels of a map's height
const AROUND = 510; // pixels above and below a map on a screen, so that its bar and caption are seen with it
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// subject: { field, trf, label, size?, top?, barTitle? }; `size` gives for a view how wide the window is at
// least and `top` is the value of the last colour, so that several figures share one scale.
// Returns { root, drawn(options) }.
export function figure(subject) {
  const rank = subject.field.shape.length;
  const names = AXES.slice(-rank);
  const stage = h("div", {
    className: "stage",
    tabIndex: 0,
    aria: { role: "application", roledescription: "map", label: `${subject.label} Arrow keys read values.` },
  });
  const readout = h("p", {
    className: "readout muted",
    textContent: "Point at the map, or focus it and use the arrow keys, to read values.",
  });
  const cut = { axis: 0, index: 0 };
  const root = h("div", { className: "figure" });
  const memory = new Map(); // contours by cut
  const levels = massLevels(subject.field.values, SHARES);
  let current = null;
  let width = 0;
  if (rank === 3) root.append(slicer(subject, names, cut, redraw));
  root.append(stage); // the readout follows once the map above it has its height

  function drawn(options) {
    return draw(subject, { names, cut, memory, ...options });
  }

  function redraw() {
    if (width < 50) return;
    current = drawn({ width, colours: palette(), tallest: Math.max(LOWEST, innerHeight - AROUND) });
    current.cross = crosshair();
    current.svg.append(current.cross);
    stage.replaceChildren(current.svg);
    if (!readout.isConnected) root.append(readout);
  }

  function read(point, aloud) {
    current.reading = point;
    for (const line of current.cross.children) line.setAttribute("d", through(current, point));
    readout.textContent = words(subject, names, cut, levels, point);
    if (aloud) announce(readout.textContent);
  }

  stage.addEventListener("pointermove", (event) => {
    const box = stage.getBoundingClientRect();
    const point = pointAt(current, event.clientX - box.left, event.clientY - box.top, bounds(subject, cut));
    if (point) read(point, false);
  });
  stage.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step || !current) return;
    event.preventDefault();
    const far = event.shiftKey ? 10 : 1;
    const [height, wide] = bounds(subject, cut);
    const [x, y] = current.reading ?? middle(subject, cut);
    const clamp = (value, extent) => Math.min(extent - 1, Math.max(0, value));
    read([clamp(x + far * step[1], wide), clamp(y + far * step[0], height)], true);
  });
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    redraw();
  }).observe(stage);
  whileShown(root, redraw);
  return { root, drawn };
}

function draw(subject, { names, cut, memory, width, colours, tallest }) {
  const { field, trf, label } = subject;
  const rank = field.shape.length;
  const top = subject.top ?? (maximum(field.values) || 1);
  const shared = {
    look,
    colours,
    width,
    tallest,
    top,
    label,
    rank,
    window: windowOf(subject, cut, viewOf(subject)),
    barTitle: barTitle(subject),
  };
  if (rank === 1) return curve({ ...shared, field, trf, name: names[0] });
  const flat = plane(field, cut.axis, cut.index);
  const key = rank === 3 ? `${cut.axis}/${cut.index}` : "";
  if (look.contours && !memory.has(key)) memory.set(key, traced(flat));
  const axes = names.filter((_, i) => rank === 2 || i !== cut.axis);
  return heatmap({
    ...shared,
    ...overlay,
    plane: flat,
    trf: flattened(trf, rank, cut.axis),
    contours: memory.get(key),
    names: axes,
  });
}

// The user's image is shown whole.
const viewOf = ({ field }) => (look.view === "auto" && overlay.image && field.shape.length === 2 ? "input" : look.view);

const barTitle = ({ barTitle: given }) => {
  const name = given ?? "share of maximum";
  return look.scale === "linear" ? name : `${name} (${look.scale === "sqrt" ? "√" : "log"})`;
};

// The TRF of the axes that a slice shows.
function flattened(trf, rank, axis) {
  if (!trf || rank === 2) return trf;
  const keep = (values) => values?.filter((_, i) => i !== axis);
  return { ...trf, box: keep(trf.box), center: keep(trf.center), size: keep(trf.size) };
}

function bounds({ field: { shape } }, { axis }) {
  if (shape.length === 1) return [1, shape[0]];
  return shape.filter((_, i) => shape.length === 2 || i !== axis);
}

function middle({ field: { shape }, trf }, { axis }) {
  const kept = (trf?.center ?? shape.map((extent) => extent / 2))
    .filter((_, i) => shape.length < 3 || i !== axis)
    .map(Math.round);
  return kept.length === 1 ? [kept[0], 0] : [kept[1], kept[0]];
}

function pointAt(current, px, py, [height, width]) {
  if (!current) return null;
  const [x, y] = current.down ? current.at(px, py) : [Math.round(current.at(px)), 0];
  return x >= 0 && y >= 0 && x < width && y < height ? [x, y] : null;
}

// White in black, to be seen on every colour.
function crosshair() {
  const line = (stroke, width, opacity) =>
    svg("path", { "fill": "none", stroke, "stroke-width": width, "stroke-opacity": opacity });
  return svg("g", { "class": "cross", "pointer-events": "none" }, line("#000", 3.4, 0.6), line("#fff", 1.4, 1));
}

function through({ plot, across, down }, [x, y]) {
  const upright = `M${across(x)} ${plot.y}V${plot.y + plot.h}`;
  return down ? `${upright}M${plot.x} ${down(y)}H${plot.x + plot.w}` : upright;
}

const distance = (index, center) => number(Math.hypot(...index.map((i, axis) => i - center[axis])), 3);

// Where a point is, what the map has there, how far from the centre, and inside which areas.
function words({ field, trf }, names, cut, levels, [x, y]) {
  const { shape, values } = field;
  const index = shape.length === 1 ? [x] : shape.length === 2 ? [y, x] : [y, x].toSpliced(cut.axis, 0, cut.index);
  const value = values[index.reduce((at, i, axis) => at * shape[axis] + i, 0)];
  const said = [
    names.map((name, i) => `${name} ${index[i]}`).join(", "),
    `${number(value / (maximum(values) || 1), 3)} of the maximum`,
  ];
  if (trf?.center)
    said.push(`${inUnit(distance(index, trf.center), lengthUnit(shape.length))} from the centre`);
  const area = levels?.findIndex((level) => value > level) ?? -1;
  said.push(
    value === 0 ? "no influence" : area < 0 ? "outside the 99 % area" : `inside the ${100 * SHARES[area]} % area`,
  );
  return said.join(" · ");
}
