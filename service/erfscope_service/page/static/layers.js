// The layer picker: every layer with its shape and theoretical field, searched by typing.

import { Problem } from "/page/api.js";
import { $, h } from "/page/dom.js";
import { by } from "/page/format.js";
import { nearest } from "/page/nearest.js";

const MOST = 400; // rows drawn at once; typing narrows further
let rows = []; // LayerRow, or { name, operator } of a spec
let others = null; // further names that a layer can have; null where nobody knows them
let chosen = () => {};

const typed = () => $("layer-name").value.trim();

export function setUp(changed) {
  chosen = changed;
  $("layer-name").addEventListener("input", () => (draw(typed()), chosen(selected())));
  $("layer-name").addEventListener("change", showUnknown);
}

// Shows these layers; `words` say where they come from, or why there are none.
export function show(layers, words) {
  ({ rows, others = null } = layers);
  $("layer-hint").textContent = words;
  draw(typed());
  chosen(selected());
}

// The row of the layer that is asked for; undefined for auto and for names that are not in the list.
export const selected = () => rows.find(({ name }) => name === typed());

export const isNamed = () => typed() !== "";

export function pick(name) {
  $("layer-name").value = name === "auto" ? "" : name;
  draw("");
  chosen(selected());
}

// Throws a Problem, with the nearest names, where the network has no layer of the typed name.
export function requireKnown() {
  if (!isUnknown()) return;
  throw new Problem({
    title: "No such layer",
    detail: words(),
    errors: [{ pointer: "/target/layer", detail: words() }],
  });
}

// Of a spec and before the inspection nobody knows all names.
const isUnknown = () => isNamed() && typed() !== "auto" && others !== null && !selected() && !others.includes(typed());

function words() {
  const names = nearest(typed(), [...others.map((name) => ({ name })), ...rows]);
  return `The network has no layer ${typed()}. The nearest: ${names.join(", ")}.`;
}

function showUnknown() {
  if (!isUnknown()) return $("layer-name").removeAttribute("aria-invalid");
  $("layer-count").textContent = words();
  $("layer-name").setAttribute("aria-invalid", "true");
}

function draw(typed) {
  const wanted = typed.toLowerCase();
  const isExact = rows.some(({ name }) => name.toLowerCase() === wanted);
  const matches = rows.filter(
    ({ name, operator }) => isExact || !wanted || `${name} ${operator}`.toLowerCase().includes(wanted),
  );
  $("layer-list").hidden = !matches.length;
  $("layer-list").replaceChildren(...[...matches].reverse().slice(0, MOST).map(item));
  $("layer-count").textContent = wanted && !isExact && rows.length ? `${matches.length} of ${rows.length} match` : "";
  reveal();
}

// The chosen row is in sight, without moving the page.
function reveal() {
  const list = $("layer-list");
  const row = list.querySelector("label:has(:checked)");
  if (row) list.scrollTop += row.getBoundingClientRect().top - list.getBoundingClientRect().top - list.clientHeight / 3;
}

function item(row) {
  const radio = h("input", {
    type: "radio",
    name: "layer-row",
    value: row.name,
    checked: row.name === typed(),
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
