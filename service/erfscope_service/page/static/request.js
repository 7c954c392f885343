// The form as a request, and a request back into the form. Only what differs from the defaults is written.

import { Problem } from "/page/api.js";
import { $ } from "/page/dom.js";
import * as layers from "/page/layers.js";
import * as unit from "/page/unit.js";

const NO_NUMBERS = "Numbers with commas between them are expected.";

const numbers = (text) =>
  text
    .split(/[\s,;×x]+/)
    .filter(Boolean)
    .map(Number);

// The numbers of a field, null where it is empty; throws a Problem where there is something else.
function numberList(id, pointer) {
  const found = numbers($(id).value);
  if (found.some(Number.isNaN)) refuse(pointer, NO_NUMBERS);
  return found.length ? found : null;
}

// The same of a field that must not be empty.
export const someNumbers = (id, pointer) => numberList(id, pointer) ?? refuse(pointer, NO_NUMBERS);

// Whether a field of numbers is empty or holds these.
export const isEmptyOr = (id, values) => !$(id).value.trim() || String(numbers($(id).value)) === String(values);

function whole(id, pointer) {
  const found = Number($(id).value);
  if (!$(id).value.trim() || !Number.isInteger(found)) refuse(pointer, "A whole number is expected.");
  return found;
}

function refuse(pointer, detail) {
  throw new Problem({
    title: "The request is not complete",
    detail: `${pointer}: ${detail}`,
    errors: [{ pointer, detail }],
  });
}

// [part, field, default, how it is read]
const FIELDS = [
  ["input", "shape", null, () => numberList("shape", "/input/shape")],
  ["input", "name", null, () => $("input-name").value.trim() || null],
  ["input", "source", "normal", () => $("source").value],
  ["target", "layer", "auto", () => $("layer-name").value.trim() || "auto"],
  ["target", "unit", "center", () => unit.asked()],
  ["target", "channels", "auto", () => channels()],
  ["average", "inputs", 32, () => whole("inputs", "/average/inputs")],
  ["average", "weights", 1, () => whole("draws", "/average/weights")],
  ["average", "seed", 0, () => whole("seed", "/average/seed")],
  ["average", "statistic", "abs", () => $("statistic").value],
  [
    "average",
    "until",
    null,
    () => ($("precision").value ? { relative_error: Number($("precision").value) / 100 } : null),
  ],
  [null, "weights", "given", () => $("weights").value],
  [null, "dtype", "float32", () => $("dtype").value],
  [null, "method", "gradient", () => $("method").value],
  [null, "protocol", "erfscope", () => $("protocol").value],
  [null, "layers", "target", () => ($("all-layers").checked ? "all" : "target")],
  [null, "verify", false, () => $("verify").checked],
];

function channels() {
  const typed = $("channels").value.trim() || "auto";
  return /^[a-z]/i.test(typed) ? typed : numberList("channels", "/target/channels");
}

// The request for `model` ({ sha256 } or { architecture }); `images` is what POST /files answered, or null.
export function read(model, images) {
  const request = { model };
  for (const [part, field, usual, value] of FIELDS) {
    const found = value();
    if (found !== usual) (part ? (request[part] ??= {}) : request)[field] = found;
  }
  if (request.input?.source === "images") {
    if (!images) refuse("/input/images", "Choose images first.");
    Object.assign(request.input, { images: images.sha256 });
    for (const field of ["mean", "std"]) {
      const found = numberList(field, `/input/${field}`);
      if (found) request.input[field] = found;
    }
  }
  return request;
}

// Shows what a job asked for.
export function write({ input, target, average, ...rest }) {
  const text = (values) => (Array.isArray(values) ? values.join(", ") : (values ?? ""));
  const values = {
    "shape": text(input.shape),
    "input-name": text(input.name),
    "source": input.source,
    "mean": text(input.mean),
    "std": text(input.std),
    "channels": target.channels === "auto" ? "" : text(target.channels),
    "inputs": average.inputs,
    "draws": average.weights,
    "seed": average.seed,
    "statistic": average.statistic,
    "precision": average.until ? 100 * average.until.relative_error : "",
    "weights": rest.weights,
    "dtype": rest.dtype,
    "method": rest.method,
    "protocol": rest.protocol,
  };
  for (const [id, value] of Object.entries(values)) $(id).value = value;
  $("all-layers").checked = rest.layers === "all";
  $("verify").checked = rest.verify === true;
  layers.pick(target.layer);
  unit.set(target.unit);
}
