// The answer to a question for a fit: heads and levels, and which object sizes each holds.

import { aboutWords } from "/page/about.js";
import { h } from "/page/dom.js";
import { by, inUnit, lengthUnit, number, withError } from "/page/format.js";
import { plain } from "/page/plain.js";
import { table } from "/page/tables.js";
import { notes } from "/page/tiles.js";
import { legend } from "/page/words.js";

export function fit(found) {
  const unit = lengthUnit(found.input_shape.length - 1);
  const sizes = found.objects.map(({ size }) => inUnit(number(size), unit));
  const heads = ["Layer", ...sizes, "ERF", "TRF", "Stride"];
  const rows = found.levels.map((level) => [
    [level.name, `${level.role} · ${by(level.shape)}`],
    ...level.objects.map(({ verdict }) => (verdict === "holds" ? "✓ holds" : verdict)),
    `${level.limited ? "≥ " : ""}${withError(level.erf_size, level.stderr, unit)}`,
    level.is_global ? "global" : inUnit(by(level.trf_size), unit),
    by(level.stride),
  ]);
  return h(
    "div",
    { className: "result" },
    h("ul", { className: "verdicts" }, ...found.objects.map(({ words }) => h("li", { textContent: plain(words) }))),
    h("p", { className: "hint", textContent: found.rule }),
    h("p", { className: "hint", textContent: aboutWords(found) }),
    notes(found.notes),
    table(heads, rows),
    legend(rows.flat()),
  );
}
