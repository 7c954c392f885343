// The answer to a question for tiles: numbers per axis, what each tensor gives, and how it was checked.

import { aboutWords } from "/page/about.js";
import { h } from "/page/dom.js";
import { by, counted, inUnit, lengthUnit, number, percent } from "/page/format.js";
import { plain } from "/page/plain.js";
import { table } from "/page/tables.js";

const AXES = ["z", "y", "x"];
const range = ([start, stop]) => `${start} … ${stop}`;

export function cut(found) {
  const names = AXES.slice(-found.tile.length);
  const axes = names.map((name, k) => [
    name,
    String(found.tile[k]),
    String(found.alignment[k]),
    found.halo[k].join(" + "),
    range(found.crop[k]),
    String(found.step[k]),
    String(found.tile[k] - found.step[k]),
    `${number(found.reach.before[k])} + ${number(found.reach.after[k])}`,
  ]);
  const layers = found.layers.map((layer) => [
    layer.name,
    layer.operator,
    by(layer.stride),
    by(layer.trf_size),
    by(layer.shape),
    layer.crop.map(range).join(", "),
  ]);
  return h(
    "div",
    { className: "result" },
    h("p", { className: "headline", textContent: kept(found) }),
    h("p", { textContent: checked(found.checked) }),
    h("p", { className: "hint", textContent: aboutWords(found, { compares: false }) }),
    notes(found.notes),
    h("h3", { textContent: `Per axis, in ${names.length === 2 ? "input pixels" : lengthUnit(names.length)}` }),
    table(["Axis", "Tile", "Alignment", "Halo before + after", "Keep", "Step", "Overlap", "Reach"], axes),
    h("h3", { textContent: "What an inner tile gives, in units of each tensor" }),
    table(["Layer", "Operator", "Stride", "TRF", "Shape on a tile", "Keep"], layers),
    ...halos(found.checked.by_halo ?? [], names),
  );
}

function halos(rows, names) {
  if (rows.length < 2) return [];
  const cells = rows.map((row) => [
    ...row.halo.map((sides) => sides.join(" + ")),
    number(row.max_error, 2),
    number(row.relative_error, 2),
  ]);
  const heads = [...names.map((name) => `Halo ${name}`), "Largest error", "RMS error"];
  return [
    h("h3", { textContent: "Error by halo" }),
    h("p", {
      className: "hint",
      textContent: "Largest difference over the largest value, and rms difference over the rms value, on noise.",
    }),
    table(heads, cells),
  ];
}

// One number where it is the same along all axes: "12 px", or "12 × 8 px".
function along(values) {
  const different = new Set(values).size === 1 ? values.slice(0, 1) : values;
  return inUnit(by(different), lengthUnit(values.length));
}

function kept({ step, tile, efficiency }) {
  const overlap = tile.map((side, k) => side - step[k]);
  return (
    `Neighbouring tiles overlap by ${along(overlap)}. An inner tile keeps ${by(step)} of ` +
    `${inUnit(by(tile), lengthUnit(tile.length))} (${percent(efficiency, 2)}). ` +
    "At the input's border nothing is cropped."
  );
}

function checked({ image, tiles, max_error: inside, outside, dtype }) {
  const rest = outside === null ? "" : `; where it is cropped, tiles are wrong by up to ${number(outside, 2)}`;
  const size = inUnit(by(image), lengthUnit(image.length));
  return (
    `Checked: ${counted(tiles, "tile")} of an input of ${size} against the whole. ` +
    `The largest difference is ${number(inside, 2)} of the largest value (${dtype})${rest}.`
  );
}

export const notes = (words) =>
  words.length ? h("ul", { className: "notes" }, ...words.map((text) => h("li", { textContent: plain(text) }))) : null;
