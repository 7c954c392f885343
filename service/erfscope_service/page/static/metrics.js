// Every scalar of a result by its flat name: what it is called, its unit, what it means. Pure.

import { percent, withError } from "/page/format.js";

const AXES = ["z", "y", "x"];

// flat name → [group, label, unit, meaning]; `{}` stands for an axis or a number.
const TABLE = {
  "erf_size": [
    "Effective field",
    "ERF size",
    "px",
    "Side of the area above 4.55 % of the centre's value (2σ of a Gaussian).",
  ],
  "erf_ratio": ["Effective field", "ERF / TRF", "%", "ERF size over the side of the theoretical field."],
  "erf_ratio_clipped": [
    "Effective field",
    "ERF / TRF inside the input",
    "%",
    "The same with the theoretical field clipped to the input.",
  ],
  "erf_size_1sigma": [
    "Effective field",
    "ERF size at 1σ",
    "px",
    "Side of the area above 31.73 % of the centre's value.",
  ],
  "erf_size_peak": [
    "Effective field",
    "ERF size from the peak",
    "px",
    "Side of the area above 4.55 % of the maximum, wherever that is.",
  ],
  "trf_size": [
    "Theoretical field",
    "TRF size",
    "px",
    "Side of the box of pixels that can reach the unit at all (geometric mean).",
  ],
  "trf_size_{}": ["Theoretical field", "TRF along {}", "px", "Exact; the box may stick out of the input."],
  "trf_ratio": ["Theoretical field", "TRF / input", "%", "Side of the theoretical field over the side of the input."],
  "mass_{}_side": [
    "Where the mass is",
    "Side of the {} % box",
    "px",
    "Smallest box around the projected centre that holds this share of the map's mass.",
  ],
  "mass_{}_ratio": [
    "Where the mass is",
    "Area of the {} % box",
    "%",
    "That box, clipped to the input, as a share of the input.",
  ],
  "mass_{}_pixels": [
    "Where the mass is",
    "Smallest {} % set",
    "px²",
    "Number of pixels in the smallest set that holds this share.",
  ],
  "r50": [
    "Where the mass is",
    "Radius of 50 %",
    "px",
    "Half of the mass lies within this distance of the projected centre.",
  ],
  "r90": ["Where the mass is", "Radius of 90 %", "px", "90 % of the mass lies within it."],
  "r99": [
    "Where the mass is",
    "Radius of 99 %",
    "px",
    "99 % of the mass lies within it: an overlap for tiled inference.",
  ],
  "sigma_{}": ["Shape", "σ, axis {}", "px", "Standard deviation along this principal axis or direction."],
  "theta": ["Shape", "Angle of the first axis", "°", "Of the first principal axis, from horizontal."],
  "anisotropy": ["Shape", "Anisotropy", "", "Largest over smallest σ; 1 is round."],
  "r2": ["Shape", "Gaussian fit R²", "", "Of a least-squares fit; 1 is exactly Gaussian."],
  "kurtosis_{}": [
    "Shape",
    "Excess kurtosis along {}",
    "",
    "0 for a Gaussian, negative for a box, positive for heavy tails.",
  ],
  "offset_{}": ["Shape", "Offset along {}", "px", "Centre of mass minus projected centre."],
  "border_mass": [
    "Shape",
    "Mass lost at the border",
    "%",
    "Share of the fitted Gaussian that falls outside the input.",
  ],
  "participation": [
    "Shape",
    "Effective number of pixels",
    "px²",
    "(Σm)² / Σm²: how many pixels share the mass evenly.",
  ],
  "entropy": ["Shape", "Entropy", "nat", "Of the map as a distribution."],
  "lattice": [
    "Shape",
    "Gridding",
    "%",
    "Spectral energy at the periods of strides and dilations, relative to the peak's.",
  ],
  "dead_fraction": ["Samples", "Dead samples", "%", "Samples whose gradient is exactly zero; counted in the average."],
};

export const HEADLINE = ["erf_size", "trf_size", "erf_ratio", "mass_50_side", "sigma_1", "r2"];

const axesOf = (rank) => AXES.slice(-rank);
const geometric = (sides) => (sides.length ? sides.reduce((a, b) => a * b, 1) ** (1 / sides.length) : null);
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
    ["dead_fraction", samples.used ? samples.dead / samples.used : null],
  ];
}

// { group, label, unit, meaning } of a flat name.
export function described(name, rank) {
  const generic = name.replace(/^mass_\d+_/, "mass_{}_").replace(/_(?:[xyz]|[123])$/, "_{}");
  const part = name.match(/^mass_(\d+)_/)?.[1] ?? name.match(/_([xyz]|[123])$/)?.[1];
  const [group, label, unit, meaning] = TABLE[name] ?? TABLE[generic];
  return {
    group,
    label: label.replace("{}", part),
    unit: unit === "px²" ? ["px", "px²", "px³"][rank - 1] : unit,
    meaning,
  };
}

const FACTORS = { "%": 100, "°": 180 / Math.PI };

// The value in its unit, with ± its standard error where there is one.
export function written(name, value, error, rank) {
  const { unit } = described(name, rank);
  const factor = FACTORS[unit] ?? 1;
  if (unit === "%" && !error) return percent(value, 3);
  if (value === null || value === undefined) return "–";
  return withError(factor * value, error ? factor * error : null, unit);
}

// [{ group, rows: [{ name, label, value, meaning }] }] for a table; the rows that say nothing in 1-D are left out.
export function grouped(result) {
  const rank = result.trf.size.length;
  const groups = new Map();
  for (const [name, value] of flat(result)) {
    if (value === null || (rank === 1 && /^(trf_size|sigma)_x$|^theta$|^anisotropy$/.test(name))) continue;
    const { group, label, meaning } = described(name, rank);
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push({ name, label, meaning, value: written(name, value, result.stderr[name], rank) });
  }
  return [...groups].map(([group, rows]) => ({ group, rows }));
}

export function csv(result) {
  const rank = result.trf.size.length;
  const units = { "%": "", "°": "rad" };
  const lines = flat(result).map(([name, value]) => {
    const { unit } = described(name, rank);
    return [name, value ?? "", result.stderr[name] ?? "", units[unit] ?? unit].join(",");
  });
  return ["metric,value,standard_error,unit", ...lines, ""].join("\n");
}
