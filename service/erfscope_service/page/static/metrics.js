// A result as rows of a table: [label, value, what it means]. Pure.

const number = (value, digits = 1) => (value === null || value === undefined ? "–" : Number(value.toFixed(digits)).toString());
const pixels = (value) => (value === null || value === undefined ? "–" : `${number(value)} px`);
const percent = (value) => (value === null || value === undefined ? "–" : `${number(100 * value)} %`);
const extents = (values) => values.map((value) => number(value)).join(" × ");

export function rows(result) {
  const { trf, erf, mass, gaussian, radial, layer, samples, provenance } = result;
  const table = [
    ["Layer", layer.name, `${layer.operator}, ${extents(layer.shape)}, unit ${result.unit.join(", ")}`],
    ["Input", extents(result.input_shape), "channels × space"],
    ["Theoretical field", `${extents(trf.size)} px`, trf.global ? "global: sees the whole input" : trf.clipped ? "sticks out of the input" : "exact"],
    ["Effective size", pixels(erf.size), "side of the area above 4.55 % of the centre (2σ)"],
    ["Effective / theoretical", percent(erf.ratio), "of the side"],
    ["Size at 1σ", pixels(erf.size_1sigma), "above 31.73 % of the centre"],
  ];
  for (const [share, area] of Object.entries(mass)) {
    table.push([`${number(100 * Number(share), 0)} % of the mass`, pixels(area.side), `box side; ${percent(area.ratio)} of the input`]);
  }
  table.push(
    ["σ", gaussian.sigma.map((value) => number(value)).join(" × ") + " px", "along the principal axes"],
    ["Gaussian fit R²", number(gaussian.r2, 3), "least squares"],
    ["r50 / r90", `${number(radial.r50)} / ${number(radial.r90)} px`, "mass within this distance"],
    ["Samples", String(samples.used), samples.dead ? `${samples.dead} without any gradient` : `${provenance.statistic} over ${provenance.source} inputs`],
  );
  return table;
}
