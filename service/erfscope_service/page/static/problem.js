// A refusal or a failure, as an alert that can be acted on.

import { $, h } from "/page/dom.js";

// Where the fields of a request are on this page, by the start of their JSON pointer.
const FIELDS = [
  ["/model/architecture", "spec"],
  ["/model", "file"],
  ["/input/shape", "shape"],
  ["/input/images", "images"],
  ["/input/mean", "mean"],
  ["/input/std", "std"],
  ["/input/name", "input-name"],
  ["/input", "source"],
  ["/target/layer", "layer-name"],
  ["/target/unit/index", "unit-element"],
  ["/target/unit", "unit-index"],
  ["/target", "channels"],
  ["/average/inputs", "inputs"],
  ["/average/weights", "draws"],
  ["/average/seed", "seed"],
  ["/average/until", "precision"],
  ["/average", "inputs"],
  ["/weights", "weights"],
  ["/method", "method"],
  ["/layers", "all-layers"],
  ["/verify", "verify"],
];

const fieldOf = (pointer) => FIELDS.find(([start]) => pointer.startsWith(start))?.[1];

// Fills `host` with title, detail and field errors; `null` empties it.
export function complain(host, problem) {
  host.hidden = !problem;
  host.replaceChildren();
  if (!problem) return;
  host.append(
    h("strong", { textContent: problem.title || "This did not work" }),
    h("p", { textContent: problem.detail || problem.message || "" }),
  );
  const fields = (problem.errors ?? []).filter(
    ({ detail }) => problem.errors.length > 1 || !problem.detail?.includes(detail),
  );
  if (fields.length)
    host.append(
      h(
        "ul",
        {},
        ...fields.map(({ pointer, detail }) =>
          h("li", {}, h("code", { textContent: pointer || "request" }), ` ${detail}`),
        ),
      ),
    );
  if (problem.context?.hint) host.append(h("p", { textContent: problem.context.hint }));
}

// Marks the fields that a refusal speaks of and goes to the first of them.
export function point(problem) {
  let first = null;
  for (const { pointer } of problem?.errors ?? []) {
    const field = $(fieldOf(pointer) ?? "");
    if (!field) continue;
    field.setAttribute("aria-invalid", "true");
    field.addEventListener("input", () => field.removeAttribute("aria-invalid"), { once: true });
    first ??= field;
  }
  if (first?.closest("details")) first.closest("details").open = true;
  first?.focus();
}
