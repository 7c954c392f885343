// A network as a spec: presets to start from, and the text to change.

import * as api from "/page/api.js";
import { brief, isSame } from "/page/brief.js";
import { $, h } from "/page/dom.js";

const WIDE = 46; // characters on a line of the editor
const FIRST = "plain-20-relu";
const SKELETON = {
  name: "mine",
  input: { channels: 3, size: [64, 64] },
  init: "kaiming_normal",
  layers: [
    { type: "conv", out_channels: 8, kernel_size: 3, padding: "same" },
    { type: "relu" },
  ],
};
let presets = [];

// Fills the list of presets; `changed` is called when another network stands in the editor, `edited` when the text of
// one was changed.
export async function load(changed, edited) {
  presets = await api.presets();
  for (const [label, rows] of Map.groupBy(presets, ({ group }) => group)) {
    const options = rows.map(({ name }) => h("option", { value: name, textContent: name }));
    $("preset").append(h("optgroup", { label }, ...options));
  }
  $("preset").addEventListener("change", () => (begin($("preset").value), changed()));
  $("spec").addEventListener("input", () => ($("preset").value = $("preset-about").textContent = ""));
  $("spec").addEventListener("change", edited);
  if (!$("spec").value) choose(FIRST);
}

// A preset, or the least that a spec of one's own needs.
function begin(name) {
  if (name) return choose(name);
  write(written(SKELETON));
  $("preset-about").textContent = "The least that a spec needs: change its input, and add layers.";
}

// Puts a preset into the editor, by its name.
export function choose(name) {
  const preset = presets.find((one) => one.name === name);
  $("preset").value = preset?.name ?? "";
  $("preset-about").textContent = preset?.about ?? "";
  if (preset) $("spec").value = written(preset.spec);
}

export function write(text) {
  $("spec").value = text;
  $("preset").value = "";
  $("preset-about").textContent = "";
}

// Puts the spec of a job into the editor, which comes with every default: as its preset, where it is one.
export async function reuse(spec) {
  const schema = await api.schema("architecture");
  const preset = presets.find((one) => isSame(one.spec, spec, schema));
  if (preset) choose(preset.name);
  else write(written(brief(spec, schema)));
}

// The spec as an object; throws a Problem where the text is no JSON.
export function parsed() {
  try {
    return JSON.parse($("spec").value);
  } catch (error) {
    throw new api.Problem({
      title: "The spec is not JSON",
      detail: error.message,
      errors: [{ pointer: "/model/architecture", detail: error.message }],
    });
  }
}

// How many spatial axes its input has; undefined of a text that does not tell.
export const rank = () => orNothing()?.input?.size?.length;

// The same as `parsed`, null where the text is no JSON.
export function orNothing() {
  try {
    return parsed();
  } catch {
    return null;
  }
}

// How many layers it has, those of repeats as often as they run.
export const count = () => counted(orNothing()?.layers);

function counted(layers) {
  if (!Array.isArray(layers)) return 0;
  const inside = ({ layers: inner, shortcut, branches = [] }) =>
    [inner, shortcut, ...branches.map((one) => one?.layers ?? one)].reduce((sum, one) => sum + counted(one), 0);
  return layers.reduce((sum, layer) => sum + (layer?.times ?? 1) * (inside(layer ?? {}) || 1), 0);
}

// Names that can be asked for as layers, as far as the spec gives them.
export function names() {
  const found = [];
  collect(orNothing()?.layers ?? [], "", found);
  return found;
}

function collect(layers, prefix, found) {
  for (const layer of Array.isArray(layers) ? layers : []) {
    if (layer?.name) found.push({ name: prefix + layer.name, operator: layer.type });
    if (layer?.layers && layer.type === "sequential")
      collect(layer.layers, layer.name ? `${prefix}${layer.name}.` : prefix, found);
  }
}

// JSON with what fits on a line on one line.
export function written(value, indent = "") {
  const flat = onOneLine(value);
  if (flat.length + indent.length <= WIDE || value === null || typeof value !== "object") return flat;
  const inner = `${indent}  `;
  const [open, close] = brackets(value);
  return `${open}\n${items(value, (one) => written(one, inner))
    .map((item) => inner + item)
    .join(",\n")}\n${indent}${close}`;
}

function onOneLine(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const [open, close] = brackets(value);
  return `${open}${items(value, onOneLine).join(", ")}${close}`;
}

const brackets = (value) => (Array.isArray(value) ? "[]" : "{}");

const items = (value, write) =>
  Array.isArray(value)
    ? value.map(write)
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${write(one)}`);
