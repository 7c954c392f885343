// Which unit: the centre, an index, a grid, or one element by its full index; clicked on a picture or typed.

import { Problem } from "/page/api.js";
import { $ } from "/page/dom.js";
import { palette } from "/page/palette.js";

let extents = null; // of the layer's spatial axes, where they are known
let unknown = ""; // why they are not
// What is typed for each kind, and an example of it.
const INPUTS = {
  index: ["unit-index", "Type one number per spatial axis, for example 3, 4."],
  grid: ["unit-grid", "Type one number per spatial axis, for example 3, 4."],
  element: ["unit-element", "Type one number per axis of the layer's tensor, without the batch, for example 3, 7, 7."],
};

const AXES = ["Place", "Row and column", "Depth, row and column"]; // by the number of spatial axes

const numbers = (text) =>
  text
    .split(/[^\d]+/)
    .filter(Boolean)
    .map(Number);
const kind = () => $("form").elements.unit.value;
export const isElement = () => kind() === "element";
const drawable = () => extents?.length === 2 && !isElement();

export function setUp(changed) {
  for (const radio of $("form").elements.unit) radio.addEventListener("change", () => (hint(null), draw(), changed()));
  for (const [id] of Object.values(INPUTS)) $(id).addEventListener("input", draw);
  $("unit-map").addEventListener("click", (event) => {
    const unit = unitAt(event);
    if (!unit) return;
    set(unit);
    changed();
  });
  $("unit-map").addEventListener("pointermove", (event) => hint(unitAt(event)));
  $("unit-map").addEventListener("pointerleave", () => hint(null));
  document.addEventListener("themechange", draw);
}

// The spatial extents of the chosen layer, or null where nobody knows them yet: then `why` is shown.
export function fit(shape, why = "") {
  extents = shape;
  unknown = why;
  hint(null);
  draw();
}

export function set(unit) {
  const named = unit === "center" ? "center" : Array.isArray(unit) ? "index" : unit.index ? "element" : "grid";
  $("form").elements.unit.value = named;
  if (named !== "center") $(INPUTS[named][0]).value = (unit.index ?? unit.grid ?? unit).join(", ");
  draw();
}

// As the request has it; throws a Problem where nothing was typed, or an index that the layer does not have.
export function asked() {
  if (kind() === "center") return "center";
  const [id, example] = INPUTS[kind()];
  const typed = numbers($(id).value);
  if (!typed.length)
    throw new Problem({
      title: "Which unit?",
      detail: example,
      errors: [{ pointer: "/target/unit", detail: "" }],
    });
  if (kind() === "index" && extents && !isInside(typed)) throw outside(typed);
  return { index: typed, grid: { grid: typed }, element: { index: typed } }[kind()];
}

const isInside = (unit) => unit.length === extents.length && unit.every((at, axis) => at < extents[axis]);
const ranges = () => extents.map((extent) => `0 … ${extent - 1}`).join(", ");

function outside(unit) {
  const detail = `The layer has no unit ${unit.join(", ")}: it has ${extents.join(" × ")} units, ${ranges()}.`;
  return new Problem({ title: "No such unit", detail, errors: [{ pointer: "/target/unit", detail }] });
}

// What is to be typed for the chosen kind.
function words() {
  const names = extents ? AXES[extents.length - 1] : "One number per spatial axis";
  if (kind() === "index") return `${names}, counted from 0${extents ? `: ${ranges()}` : ""}.`;
  if (kind() === "element") return "Channel and place of one element, counted from 0.";
  if (kind() === "center") return "";
  const counts = numbers($("unit-grid").value);
  const total = counts.reduce((product, one) => product * one, 1);
  const sum = counts.length ? `: ${counts.join(" × ")}, ${total} in all` : "";
  return `How many units along each axis, evenly spread${sum}.`;
}

function unitAt(event) {
  if (!drawable()) return null;
  const box = $("unit-map").getBoundingClientRect();
  const [y, x] = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
  return [y, x].map((share, axis) => Math.min(extents[axis] - 1, Math.max(0, Math.floor(share * extents[axis]))));
}

function hint(unit) {
  const size = extents && !isElement() ? `${extents.join(" × ")} units` : "";
  $("unit-hint").textContent = unit
    ? `unit ${unit.join(", ")} of ${size}`
    : size
      ? `${size}${drawable() ? "; click one" : ""}`
      : isElement()
        ? ""
        : unknown;
}

// Evenly spread, as the service spreads a grid: the middles of equal parts.
function marked() {
  if (kind() === "center") return [extents.map((extent) => Math.floor(extent / 2))];
  if (kind() === "index") return [numbers($("unit-index").value)].filter((unit) => unit.length === 2);
  const counts = numbers($("unit-grid").value);
  const spread = (extent, count) =>
    Array.from({ length: Math.min(count, extent) }, (_, i) =>
      Math.floor(((i + 0.5) * extent) / Math.min(count, extent)),
    );
  if (counts.length !== 2) return [];
  return spread(extents[0], counts[0]).flatMap((y) => spread(extents[1], counts[1]).map((x) => [y, x]));
}

function draw() {
  for (const [name, [id]] of Object.entries(INPUTS)) $(id).hidden = kind() !== name;
  $("unit-words").textContent = words();
  const canvas = $("unit-map");
  canvas.hidden = !drawable();
  if (!drawable()) return;
  const [height, width] = extents;
  const side = Math.max(2, Math.min(24, Math.floor(480 / Math.max(height, width))));
  Object.assign(canvas, { width: width * side, height: height * side });
  const context = canvas.getContext("2d");
  const colours = palette();
  context.fillStyle = colours.soft;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.strokeStyle = colours.line;
  for (let x = 0; side > 5 && x <= width; x++) context.strokeRect(x * side, 0, 0, canvas.height);
  for (let y = 0; side > 5 && y <= height; y++) context.strokeRect(0, y * side, canvas.width, 0);
  context.fillStyle = colours.series[0];
  for (const [y, x] of marked()) context.fillRect(x * side - 1, y * side - 1, side + 2, side + 2);
}
