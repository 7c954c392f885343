// What was found, in one sentence, and whether any training made the weights. Pure.

import { hasGaps } from "/page/gaps.js";
import { by, inUnit, length, lengthUnit, percent, typeset } from "/page/format.js";

const LONG = { px: "pixels" };
const BOXES = { 1: "", 2: "a box of side ", 3: "a cube of side " }; // by the number of axes

// Nothing of a field without a size.
export function headlineOf({ result, metrics: rows }) {
  const row = (name) => rows.find((one) => one.name === name && one.value !== null);
  const size = row("erf_size");
  if (!size) return "";
  const unit = lengthUnit(result.trf.size.length);
  const sees = `The unit can see ${result.trf.global ? "all of the input" : inUnit(by(result.trf.size), unit)}`;
  const [half, most] = ["50", "99"].map((share) => boxWords(result, share, row(`mass_${share}_side`)));
  if (half && most && hasGaps(result)) {
    return (
      `${sees}, with gaps: half of the influence lies within ${half}, ${percent(0.99)} of it within ${most}. ` +
      `The ERF of ${typeset(size.text)} counts the ${LONG[unit] ?? unit} without the gaps.`
    );
  }
  const ratio = row("erf_ratio");
  const share = /\d/.test(ratio?.text ?? "") ? percent(ratio.value) : ratio?.text;
  const hears = `listens to ${typeset(size.text)} of it${share ? ` (${share})` : ""}`;
  return `${sees} and ${hears}${middle(result, half)}.`;
}

// The box around the unit that holds a share of the mass; nothing where it is unknown.
function boxWords({ mass, trf }, share, row) {
  const side = mass[`0.${share}`]?.side ?? null;
  if (side === null) return "";
  const mark = row?.text.startsWith("≥") ? "≥ " : "";
  return `${BOXES[trf.size.length]}${mark}${length(side, trf.size.length, 3)}`;
}

// Where half of the mass lies: beyond the ERF, or in less than if it lay evenly.
function middle({ mass, erf, trf, input_shape: [, ...extents] }, box) {
  const side = mass["0.50"]?.side ?? null;
  const field = (trf.global ? extents : trf.size).reduce((product, one) => product * one, 1);
  if (!box || side >= (field / 2) ** (1 / trf.size.length)) return "";
  return erf.size < side ? `; half of the influence needs more, ${box}` : `; half of the influence lies within ${box}`;
}

const FIXED = new Set(["ones", "taps"]); // schemes that draw nothing

// "random weights (kaiming_normal), not trained", where the weights are not those of a file; else nothing.
export function weightsWords({ request: { model, weights } }) {
  if (weights === "given" && !model?.architecture) return "";
  const schemes = weights === "given" ? [...new Set(schemesOf(model.architecture))] : [weights];
  const kind = schemes.every((one) => FIXED.has(one)) ? "constant" : "random";
  return `${kind} weights (${schemes.join(", ")}), not trained`;
}

// That of the whole spec, and those that layers have of their own.
function schemesOf({ init, layers = [], shortcut, branches = [] }) {
  const inner = [layers, shortcut ?? [], ...branches].flat().filter((one) => one && typeof one === "object");
  return [...(init ? [init.scheme ?? init] : []), ...inner.flatMap(schemesOf)];
}
