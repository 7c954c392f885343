// A refusal or a failure, as an alert that can be acted on.

import { $, button, h } from "/page/dom.js";
import { plain } from "/page/plain.js";

// Where the fields of a request are on this page, by the start of their JSON pointer.
const FIELDS = [
  ["/model/architecture", "spec"],
  ["/sweep/architecture", "spec"],
  ["/model", "file"],
  ["/input/shape", "shape"],
  ["/input/images", "images"],
  ["/input/mean", "mean"],
  ["/input/std", "std"],
  ["/input/name", "input-name"],
  ["/input/source", "source"],
  ["/target/layer", "layer-name"],
  ["/target/unit", "unit-index"],
  ["/target/unit", "unit-grid"],
  ["/target/unit", "unit-element"],
  ["/target/channels", "channels"],
  ["/average/inputs", "inputs"],
  ["/average/weights", "draws"],
  ["/average/seed", "seed"],
  ["/average/statistic", "statistic"],
  ["/average/until", "precision"],
  ["/average", "inputs"],
  ["/weights", "weights"],
  ["/dtype", "dtype"],
  ["/method", "method"],
  ["/protocol", "protocol"],
  ["/layers/0", "layer-name"],
  ["/layers", "all-layers"],
  ["/layer", "layer-name"],
  ["/verify", "verify"],
  ["/tile", "tile"],
  ["/objects", "objects"],
  ["/object_size", "object-size"],
  ["/sweep/parameters", "parameter"],
  ["/sweep/values", "values"],
];

// The field that a pointer names, and what the pointer has behind it; of several fields the one that is shown.
function fieldOf(pointer) {
  const path = pointer.replace(/^\/request(?=\/)/, ""); // a series holds the form's request
  const [start, id] = FIELDS.find(([from, one]) => `${path}/`.startsWith(`${from}/`) && !$(one).hidden) ?? [];
  return id ? { field: $(id), rest: path.slice(start.length) } : null;
}

// What the page calls a field: the words of its label, without those of its options.
function nameOf(field) {
  const words = [...(field.labels?.[0]?.childNodes ?? [])].filter(({ nodeName }) => /^(#text|SPAN)$/.test(nodeName));
  const label = words.map(({ textContent }) => textContent).join("");
  return field.dataset.name ?? (label.trim() || field.getAttribute("aria-label"));
}

// "Samples: must be …"; an entry of a list by its number, a place in the spec by its pointer.
function sentence({ pointer, detail }) {
  const { field, rest } = fieldOf(pointer) ?? {};
  if (!field) return h("li", {}, h("code", { textContent: pointer || "request" }), ` ${detail}`);
  const place = field.id === "spec" && rest ? [" at ", h("code", { textContent: rest })] : [];
  const [, entry] = rest.match(/^\/(\d+)/) ?? [];
  if (entry && !place.length) place.push(`, entry ${Number(entry) + 1}`);
  return h("li", {}, nameOf(field), ...place, `: ${plain(detail)}`);
}

// Whether the detail of a problem only repeats the first of its field errors.
function isRepeated(detail, [first]) {
  return first !== undefined && detail.startsWith(`${first.pointer || "the request"}: ${first.detail}`);
}

// Fills `host` with title, detail and field errors; `null` empties it.
export function complain(host, problem) {
  host.hidden = !problem;
  host.replaceChildren();
  if (!problem) return;
  const [detail, errors] = [problem.detail || problem.message || "", problem.errors ?? []];
  const listed = isRepeated(detail, errors);
  host.append(h("strong", { textContent: problem.title || "This did not work" }));
  if (!listed) host.append(h("p", { textContent: plain(detail) }));
  const fields = errors.filter((error) => listed || errors.length > 1 || !detail.includes(error.detail));
  if (fields.length) host.append(h("ul", {}, ...fields.map(sentence)));
  if (problem.context?.nearest?.length) host.append(choices(problem.context.nearest));
  if (problem.context?.hint) host.append(h("p", { textContent: problem.context.hint }));
}

// The layers nearest to a name that there is not, to choose one.
function choices(names) {
  const take = (name) => {
    $("layer-name").value = name;
    $("layer-name").dispatchEvent(new Event("input", { bubbles: true }));
    $("layer-name").focus();
  };
  return h("div", { className: "toolbar" }, ...names.map((name) => button(name, () => take(name))));
}

// Takes back what was said about the form: the network is another one, or it is sent again.
export function forgive() {
  for (const id of ["problem", "question-problem", "spec-problem"]) complain($(id), null);
  for (const field of document.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}

// Shows why something was not done, in sight: below the spec where that is wrong, else in `host`. The fields that it
// names are marked, and the first of them has the focus.
export function refuse(host, problem) {
  const isOfSpec = problem.errors?.some(({ pointer }) => fieldOf(pointer)?.field.id === "spec");
  const place = isOfSpec ? $("spec-problem") : host;
  complain(place, problem);
  point(problem);
  place.scrollIntoView({ block: "nearest" });
}

function point(problem) {
  let first = null;
  for (const { pointer } of problem?.errors ?? []) {
    const { field } = fieldOf(pointer) ?? {};
    if (!field) continue;
    field.setAttribute("aria-invalid", "true");
    field.addEventListener("input", () => field.removeAttribute("aria-invalid"), { once: true });
    first ??= field;
  }
  if (first?.closest("details")) first.closest("details").open = true;
  first?.focus({ preventScroll: first.id === "spec" }); // the spec is taller than what is said of it
}
