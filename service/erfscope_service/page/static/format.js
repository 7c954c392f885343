// Numbers, shapes and times as people read them. Pure.

const SPACE = "\u202f"; // narrow, keeps a number and its unit together
const KEPT = "\u00a0"; // keeps the numbers beside × and ± on one line
const PLUS = `${KEPT}±${KEPT}`;

const RAISED = Object.fromEntries([..."-0123456789"].map((sign, i) => [sign, [..."⁻⁰¹²³⁴⁵⁶⁷⁸⁹"][i]]));
const raised = (power) => [...String(Number(power))].map((sign) => RAISED[sign]).join("");

// Numbers in a text of the service as this page writes them: a minus for a hyphen, 3.1e-07 as 3.1 × 10⁻⁷, 2×2 as 2 × 2,
// and a unit on the line of its number.
export const typeset = (text) =>
  text
    .replace(/(?<![\w.])(\d(?:\.\d+)?)e([+-]\d+)\b/g, (_, digits, power) => `${digits} × 10${raised(power)}`)
    .replace(/(?<![^\s([±…])-(?=[\d.])/g, "−")
    .replace(/(?<=[\d⁰¹²³⁴-⁹]) ?([×±]) ?(?=\d)/g, `${KEPT}$1${KEPT}`)
    .replace(/(?<=\d|⁻[⁰¹²³⁴-⁹]) (?=(?:%|px|samples?|voxels?|pixels|rad|nat)(?!\w))/g, SPACE);

// Four significant digits without zeros that say nothing, as the service writes them: 0.0123, 41.2, 21450, 3 × 10⁻⁹; a
// whole number as one, even where a root left 12.999….
export function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (Math.abs(value - Math.round(value)) <= 1e-9 * Math.abs(value)) return typeset(String(Math.round(value)));
  if (Math.abs(value) < 1e-4) return typeset(Number(value.toPrecision(3)).toExponential());
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
  return typeset(String(Number(value.toFixed(decimals))));
}

// Always so many decimals.
export const fixed = (value, decimals) => typeset(value.toFixed(decimals));

// "3.1 × 10⁻⁷", for numbers whose order of magnitude is what matters.
export function scientific(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value === 0 ? "0" : typeset(value.toExponential(1));
}

// The value with as many decimals as its standard error has two digits of, and that error.
export function withError(value, error, unit = "") {
  if (value === null || value === undefined) return "–";
  if (!error || !Number.isFinite(error)) return inUnit(number(value), unit);
  const decimals = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(error))));
  if (Number(error.toFixed(decimals)) === 0) return inUnit([number(value), scientific(error)].join(PLUS), unit);
  return inUnit([fixed(value, decimals), fixed(error, decimals)].join(PLUS), unit);
}

// Words for a number and its unit, which is singular for 1: "12 samples", "1 sample".
export function inUnit(words, unit) {
  if (!unit) return words;
  return words + SPACE + (words === "1" ? unit.replace(/(?<=sample|voxel|pixel)s$/, "") : unit);
}

// A narrow cell may break before the error, not within it.
export const inTwo = (words) => words.replace(/\s±/, " ±");

// As the beginning of a sentence.
export const capital = (words) => words.replace(/^./u, (first) => first.toUpperCase());

export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

export const by = (values) => values.map((value) => number(value)).join(`${KEPT}×${KEPT}`);

// Of lengths along an input with so many axes.
export const lengthUnit = (axes) => ({ 1: "samples", 3: "voxels" })[axes] ?? "px";

// A length along an input with so many axes.
export const length = (value, axes, digits) =>
  value === null || value === undefined ? "–" : inUnit(number(value, digits), lengthUnit(axes));
export const percent = (value, digits = 3) =>
  value === null || value === undefined ? "–" : number(100 * value, digits) + SPACE + "%";
export const unitName = (unit) => `(${unit.join(", ")})`;
export function mebibytes(bytes) {
  if (bytes < 2 ** 10) return counted(bytes, "byte");
  return bytes < 2 ** 20 ? `${fixed(bytes / 2 ** 10, 1)} KiB` : `${fixed(bytes / 2 ** 20, 1)} MiB`;
}

const STEPS = [
  ["minute", 60],
  ["hour", 24],
  ["day", 30],
  ["month", 12],
  ["year", Infinity],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function ago(time) {
  let amount = (new Date(time) - Date.now()) / 60_000;
  if (Math.abs(amount) < 1) return "just now";
  for (const [unit, size] of STEPS) {
    if (Math.abs(amount) < size) return relative.format(Math.round(amount), unit);
    amount /= size;
  }
}

export const clock = (time) => new Date(time).toLocaleString("en", { dateStyle: "medium", timeStyle: "medium" });

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return inUnit(number(seconds, 2), "s");
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

// What a request asks of the target, in a few words.
export function targetWords({ layer, unit }) {
  return `${layer === "auto" ? "last layer" : layer} · ${unitWords(unit)}`;
}

function unitWords(unit) {
  if (unit === "center") return "centre";
  if (Array.isArray(unit)) return unitName(unit);
  return unit.index ? `element ${unitName(unit.index)}` : `grid ${unit.grid.join(" × ")}`;
}
