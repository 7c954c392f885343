// The layer picker: every layer with its shape and theoretical field, searched by typing.

import { $, h } from "/page/dom.js";
import { by } from "/page/format.js";

const MOST = 400; // rows drawn at once; typing narrows further
let rows = []; // LayerRow, or { name, operator } of a spec
let chosen = () => {};

export function setUp(changed) {
  chosen = changed;
  $("layer-name").addEventListener("input", () => (draw($("layer-name").value), chosen(selected())));
}

// Shows these layers; `words` say where they come from, or why there are none.
export function show(layers, words) {
  rows = layers;
  $("layer-hint").textContent = words;
  draw($("layer-name").value);
  chosen(selected());
}

// The row of the layer that is asked for; undefined for auto and for names that are not in the list.
export const selected = () => rows.find(({ name }) => name === $("layer-name").value.trim());

export const isNamed = () => $("layer-name").value.trim() !== "";

export function pick(name) {
  $("layer-name").value = name === "auto" ? "" : name;
  draw("");
  chosen(selected());
}

function draw(typed) {
  const wanted = typed.trim().toLowerCase();
  const isExact = rows.some(({ name }) => name.toLowerCase() === wanted);
  const matches = rows.filter(
    ({ name, operator }) => isExact || !wanted || `${name} ${operator}`.toLowerCase().includes(wanted),
  );
  $("layer-list").hidden = !rows.length;
  $("layer-list").replaceChildren(...[...matches].reverse().slice(0, MOST).map(item));
  $("layer-count").textContent = wanted && !isExact && rows.length ? `${matches.length} of ${rows.length} match` : "";
}

function item(row) {
  const isChosen = row.name === $("layer-name").value.trim();
  const radio = h("input", {
    type: "radio",
    name: "layer-row",
    value: row.name,
    checked: isChosen,
    className: "hidden",
    on: { change: () => choose(row) },
  });
  const trf = row.is_global ? "global" : row.trf_size ? `TRF ${by(row.trf_size)}` : "";
  const shape = row.shape ? row.shape.join("×") : "";
  return h(
    "label",
    { className: "layer" },
    radio,
    h("span", { className: "layer-name", textContent: row.name }),
    h("span", { className: "layer-facts", textContent: [row.operator, shape, trf].filter(Boolean).join(" · ") }),
  );
}

// The list stays as it is, so that the arrow keys go on through it.
function choose(row) {
  $("layer-name").value = row.name;
  $("layer-count").textContent = "";
  chosen(row);
}
