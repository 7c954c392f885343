// The layer picker: every layer with its shape and theoretical field, searched by typing.

import { Problem } from "/page/api.js";
import { $, h } from "/page/dom.js";
import { by } from "/page/format.js";
import { explained } from "/page/glossary.js";
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
  $("layer-hint").replaceChildren(...explained(words));
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
  return `The network has no layer ${typed()}. The nearest: ${nearestNames(typed()).join(", ")}.`;
}

function showUnknown() {
  if (!isUnknown()) return $("layer-name").removeAttribute("aria-invalid");
  $("layer-count").textContent = words();
  $("layer-name").setAttribute("aria-invalid", "true");
}

function draw(typed) {
  const sought = typed.toLowerCase();
  const isExact = rows.some(({ name }) => name.toLowerCase() === sought);
  const matches = rows.filter(
    ({ name, operator }) => isExact || !sought || `${name} ${operator}`.toLowerCase().includes(sought),
  );
  const listed = matches.length ? [...matches].reverse().slice(0, MOST) : instead(typed);
  $("layer-list").hidden = !listed.length;
  $("layer-list").replaceChildren(...listed.map(item));
  $("layer-count").textContent = sought && !isExact ? countWords(matches.length, listed.length) : "";
  reveal();
}

// Where no row matches: the typed name, where a layer can have it, else the nearest names.
function instead(typed) {
  if (others === null || !typed) return [];
  const names = others.includes(typed) ? [typed] : nearestNames(typed);
  return names.map((name) => rows.find((row) => row.name === name) ?? { name });
}

const nearestNames = (typed) => nearest(typed, [...others.map((name) => ({ name })), ...rows]);

function countWords(matches, listed) {
  if (!matches && listed) return isUnknown() ? "None matches; the nearest are listed." : "";
  return rows.length ? `${matches} of ${rows.length} match` : "";
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
  const shape = row.shape ? by(row.shape) : "";
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
  $("layer-name").removeAttribute("aria-invalid");
  chosen(row);
}
