// Every scalar of a result by its flat name: what it is called, its unit, what it means. Pure.

import { percent, scientific, withError } from "/page/format.js";
import { TABLE } from "/page/meanings.js";

const AXES = ["z", "y", "x"];

const PATTERNS = Object.entries(TABLE)
  .filter(([name]) => name.includes("{}"))
  .map(([name, row]) => [new RegExp(`^${name.replace("{}", "([a-z]|\\d+)")}$`), row]);

// Shares are shown in per cent and angles in degrees; files keep the contract's units.
const SHARES = /^(erf|trf)_ratio|^mass_\d+_ratio$|^border_mass$|^lattice$|^dead_fraction$|^mass_before$/;
const FACTORS = { "%": 100, "°": 180 / Math.PI };

export const HEADLINE = ["erf_size", "trf_size", "erf_ratio", "mass_50_side", "sigma_1", "r2"];

const axesOf = (rank) => AXES.slice(-rank);

// Side of the square or cube that has as many pixels as the box of these sides; whole where it is (a cube of 9 has 9).
export function geometric(sides) {
  const product = sides.reduce((a, b) => a * b, 1);
  const root = product ** (1 / sides.length);
  return Math.round(root) ** sides.length === product ? Math.round(root) : root;
}

const byAxis = (name, values, rank) => axesOf(rank).map((axis, i) => [`${name}_${axis}`, values?.[i] ?? null]);

// [[flat name, value] …] in the order of the contract's own table.
export function flat(result) {
  const { trf, erf, mass, gaussian, radial, shape, samples, input_shape } = result;
  const rank = trf.size.length;
  const input = geometric(input_shape.slice(1));
  return [
    ["trf_size", geometric(trf.size)],
    ...byAxis("trf_size", trf.size, rank),
    ["trf_ratio", input ? geometric(trf.size) / input : null],
    ["erf_size", erf.size],
    ["erf_ratio", erf.ratio],
    ["erf_ratio_clipped", erf.ratio_clipped],
    ["erf_size_1sigma", erf.size_1sigma],
    ["erf_size_peak", erf.size_peak],
    ...Object.entries(mass).flatMap(([part, area]) =>
      ["side", "ratio", "pixels"].map((kind) => [`mass_${Math.round(100 * part)}_${kind}`, area[kind]]),
    ),
    ...axesOf(rank).map((_, i) => [`sigma_${i + 1}`, gaussian.sigma[i] ?? null]),
    ...byAxis("sigma", gaussian.sigma_axis, rank),
    ["theta", gaussian.theta],
    ["r2", gaussian.r2],
    ...byAxis("kurtosis", gaussian.excess_kurtosis, rank),
    ["r50", radial.r50],
    ["r90", radial.r90],
    ["r99", radial.r99],
    ...byAxis("offset", shape.offset, rank),
    ["anisotropy", shape.anisotropy],
    ["border_mass", shape.border_mass],
    ["participation", shape.participation],
    ["entropy", shape.entropy],
    ["lattice", shape.lattice],
    ["mass_before", shape.mass_before ?? null],
    ["dead_fraction", samples.used ? samples.dead / samples.used : null],
    ["verify_difference", result.verify?.relative_difference ?? null],
  ];
}

// { group, label, unit, words } of a flat name, as the page shows it.
export function described(name) {
  const row = rowOf(name);
  const unit = SHARES.test(name) ? "%" : row.unit === "rad" ? "°" : row.unit;
  return { ...row, unit, label: row.label[0].toUpperCase() + row.label.slice(1) };
}

function rowOf(name) {
  if (TABLE[name]) return TABLE[name];
  const [pattern, row] = PATTERNS.find(([one]) => one.test(name));
  return { ...row, label: row.label.replace("{}", name.match(pattern)[1]) };
}

// The value in its unit, with ± its standard error where there is one.
export function written(name, value, error) {
  const { unit } = described(name);
  const factor = FACTORS[unit] ?? 1;
  if (unit === "%" && !error) return percent(value, 3);
  if (value === null || value === undefined) return "–";
  if (name === "verify_difference") return scientific(value); // rounding, far below what plain digits show
  return withError(factor * value, error ? factor * error : null, unit);
}

// [{ group, rows: [{ name, label, value, words }] }] for a table; the rows that say nothing in 1-D are left out.
export function grouped(result) {
  const rank = result.trf.size.length;
  const groups = new Map();
  for (const [name, value] of flat(result)) {
    if (value === null || (rank === 1 && /^(trf_size|sigma)_x$|^theta$|^anisotropy$/.test(name))) continue;
    const { group, label, words } = described(name);
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push({ name, label, words, value: written(name, value, result.stderr[name]) });
  }
  return [...groups].map(([group, rows]) => ({ group, rows }));
}

export function csv(result) {
  const lines = flat(result).map(([name, value]) =>
    [name, value ?? "", result.stderr[name] ?? "", rowOf(name).unit].join(","),
  );
  return ["metric,value,standard_error,unit", ...lines, ""].join("\n");
}
