// The answer to a question for advice: the changes as a table, and the maps of the network and the best three.

import { aboutWords } from "/page/about.js";
import { table as colours } from "/page/colormaps.js";
import { button, h } from "/page/dom.js";
import { GRIDDED } from "/page/gaps.js";
import { by, inTwo, inUnit, length, lengthUnit, number, percent, typeset, withError } from "/page/format.js";
import { table } from "/page/tables.js";
import { notes } from "/page/tiles.js";

const HEADS = ["Change", "ERF", "50 % box", "MACs", "Parameters", "Memory", "Output", "Weights kept", "Gridding"];
const OUTPUT = HEADS.indexOf("Output"); // told where a change changes it
const LOAD = "Put the changed spec into the form:";
const SHOWN = 3; // changes with a map
const MARKED =
  "Every row is measured. * marks each change that no other row beats; the first choice is the " +
  "best of those that reach the size.";
const SCALES = [
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

// `load` puts a spec into the form.
export function advice(found, { load } = {}) {
  const all = [whole(found), ...found.changes.map((change, n) => row(change, n + 1, found))];
  const isTold = (column) => column !== OUTPUT || all.some((one) => one[column] !== all[0][column]);
  const [heads, ...rows] = [headsAt(found), ...all].map((one) => one.filter((_, column) => isTold(column)));
  return h(
    "div",
    { className: "result" },
    h("ul", { className: "verdicts" }, h("li", { textContent: verdict(found) })),
    h("p", { className: "hint", textContent: asked(found) }),
    h("p", { className: "hint", textContent: aboutWords(found) }),
    table(heads, rows),
    loaders(found, load),
    maps(found),
    notes(found.notes),
  );
}

// A change of a spec is a spec: it can be measured, or changed again. A change of a file has to be made in its program.
function loaders({ changes }, load) {
  const specs = changes.flatMap(({ architecture }, n) => (architecture ? [[n + 1, architecture]] : []));
  if (!specs.length || !load) return null;
  const buttons = specs.map(([place, spec]) => button(`Change ${place}`, () => load(spec)));
  return h("div", { className: "toolbar" }, h("span", { className: "hint", textContent: LOAD }), ...buttons);
}

// What the last layer gives depends on the input that was taken, which may be larger than the network's own.
const headsAt = ({ input_shape: shape }) => HEADS.with(OUTPUT, `${HEADS[OUTPUT]} at input ${by(shape.slice(1))}`);

// A change counts the units of the layer that it comes behind at the network's own input.
const changeWords = ({ text }) => typeset(text.replace(/ \(([\d×]+ units)\)/, " ($1 at the network's own input)"));

function verdict({ reaches, changes, coarsest, erf_measured: size, want }) {
  const isOpen = reaches && size !== null && size < want; // within two standard errors
  if (reaches && !isOpen) return "Nothing needs to change.";
  const doubt = isOpen ? "Unsure whether a change is needed: more samples decide. " : "";
  const best = changes.find((change) => change.reaches);
  const unsure = best?.unsure ? ", unsure until more samples are measured" : "";
  if (best) return `${doubt}First choice${unsure}: ${changeWords(best)}.`;
  const next = coarsest ? ` Ask at the coarsest level next: layer ${coarsest}.` : "";
  return `${doubt}No change that was tried reaches it.${next}`;
}

const unitOf = ({ input_shape: shape }) => lengthUnit(shape.length - 1);

function asked(found) {
  const { want, object_size: size, layer } = found;
  const unit = unitOf(found);
  const objects = size ? `objects of ${inUnit(number(size), unit)}, so ` : "";
  return (
    `Layer ${layer} at input ${by(found.input_shape)}. Asked for: ${objects}an ERF of ${inUnit(number(want), unit)}. ` +
    (found.changes.length ? MARKED : "")
  );
}

const whole = (found) => [
  "as it is",
  inTwo(withError(found.erf_measured ?? found.erf_analytic, found.stderr, unitOf(found))),
  halfOf(found, found),
  count(found.macs),
  count(found.parameters),
  `${count(found.memory)}B`,
  by(found.layer_shape.slice(1)),
  "",
  gridding(found.lattice),
];

const row = (change, place, found) => [
  `${place}${change.pareto ? "*" : ""} ${changeWords(change)}${doubts(change)}`,
  inTwo(withError(change.erf_measured ?? change.erf_analytic, change.stderr, unitOf(found))),
  halfOf(change, found),
  added(change.added_macs, found.macs),
  added(change.added_parameters, found.parameters),
  added(change.added_memory, found.memory),
  by(change.layer_shape.slice(1)),
  change.weights_kept === null ? "" : percent(change.weights_kept, 2),
  gridding(change.lattice),
];

const halfOf = ({ mass_50_side: side }, found) => length(side ?? null, found.input_shape.length - 1, 3);

const doubts = ({ reaches, unsure }) => (!reaches ? " (falls short)" : unsure ? " (unsure)" : "");

const gridding = (score) => (score === null ? "" : `${score.toFixed(2)}${score > GRIDDED ? " holes" : ""}`);

// "0 %" is none at all; what is too little for a decimal is below or above it.
function added(more, before) {
  if (!more) return percent(0);
  const share = more / Math.max(before, 1);
  const [sign, size] = [share > 0 ? "+" : "−", Math.abs(100 * share)];
  const told = size < 0.05 ? `< ${sign}0.1 %`.replace("< −", "> −") : `${sign}${size.toFixed(size < 100 ? 1 : 0)} %`;
  return typeset(told);
}

function count(value) {
  const [scale, letter] = SCALES.find(([scale]) => value >= scale) ?? [1, ""];
  return `${Number((value / scale).toPrecision(3))}${letter}`;
}

// Of the network alone there is nothing to compare.
function maps(found) {
  if (!found.changes.length) return null;
  const best = found.changes.slice(0, SHOWN).map((change, n) => [`${n + 1}. ${changeWords(change)}`, change]);
  const named = [["as it is", found], ...best];
  const unit = unitOf(found);
  const drawn = named.filter(([, { picture }]) => picture).map(([words, { picture }]) => figure(words, picture, unit));
  return drawn.length ? h("div", { className: "small-maps" }, ...drawn) : null;
}

function figure(words, { cells, pixels }, unit) {
  const size = [cells.length * pixels[0], cells[0].length * pixels[1]];
  const canvas = h("canvas", { width: cells[0].length, height: cells.length, role: "img" });
  canvas.ariaLabel = `Map of ${words}, ${inUnit(by(size), unit)}`;
  paint(canvas, cells);
  return h("figure", {}, canvas, h("figcaption", { textContent: words }));
}

function paint(canvas, cells) {
  const map = colours("viridis");
  const image = new ImageData(cells[0].length, cells.length);
  cells.flat().forEach((value, k) => {
    image.data.set(map.subarray(4 * value, 4 * value + 4), 4 * k);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}
