// The form: a network, a layer, a unit, options; and what it sends.

import { requireImages } from "/page/accept.js";
import * as api from "/page/api.js";
import { $ } from "/page/dom.js";
import { counted, lengthUnit, mebibytes } from "/page/format.js";
import * as layers from "/page/layers.js";
import { complain, forgive, refuse } from "/page/problem.js";
import * as fields from "/page/request.js";
import * as series from "/page/series.js";
import * as spec from "/page/spec.js";
import * as unit from "/page/unit.js";
import { uploads } from "/page/upload.js";

const ELEMENT_ONLY =
  "Type a layer's name here (a tensor of the file), choose Element as the unit, and type its full index.";
const NAMED_BLOCKS = "Named blocks of the spec are listed; a profile along depth finds the rest.";
const OTHER_SHAPE = "How many units the layer has at this input shape is known once it is measured.";
const NOTHING = { title: "Choose a network first", detail: "Drop an ONNX file, or write a layer spec." };
let model = null; // StoredModel
let images = null; // StoredFile
let files = null;
let isReused = false; // while a job's question is put into the form
let isSending = false;

const isSpec = () => $("form").elements.kind.value === "spec";
const isKnown = () => isSpec() || (model !== null && model.status !== "failed");
// Without axes of space `auto` finds nothing, but one element of a named layer has a field all the same.
const isFlat = () => !isSpec() && /no-spatial-layer$/.test(model?.error?.type ?? "");
const isReady = () => isKnown() || (isFlat() && unit.isElement() && layers.isNamed());

// `submitted` gets the job that the service answers with.
export async function setUp(submitted) {
  layers.setUp(fitUnit);
  unit.setUp(preview);
  files = uploads(modelChanged);
  $("form").addEventListener("submit", (event) => (event.preventDefault(), submit(submitted)));
  $("form").addEventListener("input", preview);
  $("as-json").addEventListener("toggle", preview);
  for (const radio of $("form").elements.kind) radio.addEventListener("change", () => (startAnew(), changeKind()));
  $("preset").addEventListener("change", startAnew);
  $("shape").addEventListener("input", showKind);
  $("source").addEventListener("change", showImages);
  $("images").addEventListener("change", storeImages);
  showKind();
  await spec.load(changeKind, showKind); // what was said of a spec stays until it is sent again: no click is missed
  showKind();
}

// Puts a job's question into the form.
export async function reuse(job) {
  const { sha256, architecture } = job.request.model ?? {};
  $("form").elements.kind.value = architecture ? "spec" : "file";
  if (architecture) await spec.reuse(architecture);
  changeKind();
  fields.write(job.request);
  images = job.request.input.images ? { sha256: job.request.input.images } : null;
  $("images-hint").textContent = images ? "The images of that job." : "";
  showImages();
  isReused = true;
  try {
    if (sha256) await files.reopen(sha256);
  } finally {
    isReused = false;
  }
  preview();
  $("ask").scrollIntoView({ block: "start" });
}

function modelChanged(changed) {
  if (changed?.spec) {
    $("form").elements.kind.value = "spec";
    spec.write(changed.spec);
    startAnew();
    return changeKind();
  }
  if (changed?.sha256 !== model?.sha256 && !isReused) startAnew();
  if (!changed) forgive();
  model = changed;
  $("form").elements.kind.value = "file";
  showKind();
}

// Layer and unit are those of the network before.
function startAnew() {
  layers.pick("auto");
  unit.set("center");
}

// What was wrong with the network before is not wrong with this one.
function changeKind() {
  forgive();
  showKind();
}

function showKind() {
  $("file-panel").hidden = isSpec();
  $("spec-panel").hidden = !isSpec();
  if (isSpec()) layers.show({ rows: spec.names() }, NAMED_BLOCKS);
  else layers.show(rowsOf(model?.inspection), listed());
  if (isSpec()) series.suggest(spec.orNothing());
  for (const words of document.querySelectorAll("[data-unit]")) words.textContent = lengthUnit(rank());
  preview();
}

// How many spatial axes the input of the network has; undefined where nobody knows yet.
const rank = () => (isSpec() ? spec.rank() : model?.inspection?.input_shape.slice(1).length);

function listed() {
  const { inspection, status } = model ?? {};
  if (isFlat()) return ELEMENT_ONLY;
  if (!inspection && status === "failed") return "There are no layers to list: the file cannot be measured.";
  if (!inspection) return model ? "Looking for the layers …" : "Layers are listed once a file is here.";
  const last = inspection.default_layer ? ` auto is ${inspection.default_layer}.` : "";
  return `${counted(inspection.layers.length, "layer")}, each with its TRF; type to search.${last}`;
}

// The layers of a file; without their shapes where the typed input shape is not the one that they were found at.
function rowsOf(inspection) {
  const { layers: rows = [], other_names: others } = inspection ?? {};
  return { rows: isInspectedShape() ? rows : rows.map((row) => ({ ...row, shape: null })), others };
}

// Whether Input shape names the input that the layers were found at; what is half typed does not.
const isInspectedShape = () => fields.isEmptyOr("shape", model?.inspection?.input_shape ?? []);

function fitUnit(row) {
  unit.fit(row ? extentsOf(row) : null, row && !isSpec() && !isInspectedShape() ? OTHER_SHAPE : "");
}

// Which axes of a layer are spatial: those whose extent is the input's over the layer's stride. Null where none fit.
function extentsOf({ shape, trf_stride: stride }) {
  const space = model?.inspection?.input_shape.slice(1);
  if (isSpec() || !space || !isInspectedShape() || !shape || shape.length < space.length) return null;
  const fits = (from) =>
    space.every((extent, i) => Math.abs(shape[from + i] - extent / (stride[i] || 1)) <= 2 + 0.1 * shape[from + i]);
  const from = [shape.length - space.length, 0].find(fits);
  return from === undefined ? null : shape.slice(from, from + space.length);
}

const showImages = () => ($("images-panel").hidden = $("source").value !== "images");

async function storeImages() {
  const file = $("images").files[0];
  if (!file) return;
  $("images-hint").textContent = "uploading …";
  images = null;
  try {
    await requireImages(file);
    images = await api.storeImages(file);
    $("images-hint").textContent = `${file.name}, ${mebibytes(file.size)}, stored`;
  } catch (error) {
    $("images-hint").textContent = "";
    complain($("problem"), error);
  }
  preview();
}

const asked = () => fields.read(isSpec() ? { architecture: spec.parsed() } : { sha256: model?.sha256 }, images);

// As `asked`, of a layer that the network has.
function complete() {
  layers.requireKnown();
  return asked();
}

// The whole request of the form.
export function request() {
  if (!isReady()) throw new api.Problem(NOTHING);
  return complete();
}

// What a question about the network takes over: model, input, layer and weights, as far as they were chosen.
export function network() {
  if (!isKnown()) throw new api.Problem(NOTHING);
  const { model: ref, input = {}, target = {}, weights } = complete();
  const { shape, name } = input;
  return {
    model: ref,
    ...(shape || name ? { input: { ...(shape && { shape }), ...(name && { name }) } } : {}),
    ...(target.layer ? { layers: [target.layer] } : {}),
    ...(weights ? { weights } : {}),
  };
}

// A profile takes as long as its layers together.
function showProfileHint() {
  const count = isSpec() ? spec.count() : (model?.inspection?.layers.length ?? 0);
  const times = count > 1 ? `about ${count} times as long as one: ` : "many times as long as one: ";
  $("all-layers-hint").textContent = `This takes ${times}each layer is measured by itself. It can be canceled.`;
  $("all-layers-hint").hidden = !$("all-layers").checked;
}

function preview() {
  showProfileHint();
  $("submit").disabled = isSending || !isReady();
  if (!$("as-json").open) return;
  try {
    $("request-json").textContent = isReady() ? spec.written(asked()) : "Choose a network first.";
  } catch (error) {
    $("request-json").textContent = error.message;
  }
}

async function submit(submitted) {
  forgive();
  isSending = true;
  preview();
  try {
    submitted(await api.submit(complete()));
  } catch (error) {
    refuse($("problem"), error);
  } finally {
    isSending = false;
    preview();
  }
}

// Puts a spec into the form, to be measured or changed.
export async function load(architecture) {
  $("form").elements.kind.value = "spec";
  await spec.reuse(architecture);
  startAnew();
  changeKind();
  $("ask").scrollIntoView({ block: "start" });
  $("spec").focus({ preventScroll: true });
}

// Measures one of the presets, with the form as it then is.
export async function example(name, submitted) {
  $("form").elements.kind.value = "spec";
  spec.choose(name);
  startAnew();
  changeKind();
  await submit(submitted);
}
