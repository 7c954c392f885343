// The answer to a question for a fit: heads and levels, and which object sizes each holds.

import { aboutWords } from "/page/about.js";
import { button, h } from "/page/dom.js";
import { by, inUnit, length, lengthUnit, number, withError } from "/page/format.js";
import { plain } from "/page/plain.js";
import { table } from "/page/tables.js";
import { notes } from "/page/tiles.js";
import { legend } from "/page/words.js";

// Why a level must see more than the object, and what the cells of the table mean.
const WHY = "So much because a unit tells objects apart by their surroundings too; the factor was measured.";
const VERDICTS = {
  "small field": "the ERF is smaller than that",
  "coarse grid": "the object is less than 2 units wide",
  "unsure": "the ERF is within two standard errors of that",
  "outside input": "the object is larger than the input",
};

// `layers` are those that the question was limited to, if any; `askAll` asks about every level instead.
export function fit(found, { layers, askAll }) {
  const unit = lengthUnit(found.input_shape.length - 1);
  const sizes = found.objects.map(({ size }) => inUnit(number(size), unit));
  const heads = ["Layer", ...sizes, "ERF", "50 % box", "TRF", "Stride"];
  const rows = found.levels.map((level) => [
    [level.name, `${level.role} · ${by(level.shape)}`],
    ...level.objects.map(({ verdict }) => (verdict === "holds" ? "✓ holds" : verdict)),
    level.limited
      ? `≥ ${inUnit(number(Math.floor(level.erf_size * 10) / 10), unit)}` // a bound: rounded down, without an error
      : withError(level.erf_size, level.stderr, unit),
    length(level.mass_50_side ?? null, found.input_shape.length - 1, 3),
    level.is_global ? "global" : inUnit(by(level.trf_size), unit),
    by(level.stride),
  ]);
  return h(
    "div",
    { className: "result" },
    h("ul", { className: "verdicts" }, ...found.objects.map(({ words }) => h("li", { textContent: plain(words) }))),
    layers?.length ? limited(layers, askAll) : null,
    h("p", { className: "hint", textContent: [found.rule, WHY, ...verdicts(found)].join(" ") }),
    h("p", { className: "hint", textContent: aboutWords(found) }),
    notes(found.notes),
    table(heads, rows),
    legend(rows.flat()),
  );
}

function limited(layers, askAll) {
  const which = layers.length === 1 ? "it is" : "they are";
  const words = h("span", { textContent: `Only ${layers.join(", ")}, because ${which} chosen.` });
  return h("div", { className: "toolbar" }, words, button("Ask all layers", askAll));
}

// A sentence for each verdict that the table has.
function verdicts({ levels }) {
  const used = new Set(levels.flatMap(({ objects }) => objects.map(({ verdict }) => verdict)));
  return Object.entries(VERDICTS)
    .filter(([verdict]) => used.has(verdict))
    .map(([verdict, words]) => `“${verdict}”: ${words}.`);
}
