// Profiles as charts: the fields along depth, and the map by distance from its centre.

import { button, h } from "/page/dom.js";
import { by, counted, inUnit, length, lengthUnit, number, percent, withError } from "/page/format.js";
import { localWords } from "/page/place.js";
import { chart } from "/page/charts.js";
import { heading, rowHead } from "/page/tables.js";

const geometric = (sides) => sides.reduce((product, side) => product * side, 1) ** (1 / sides.length);
const top = (values) => 1.05 * Math.max(1e-9, ...values.filter((value) => value !== null && Number.isFinite(value)));

// TRF, ERF and half-mass side of each layer, and a table whose rows show the layer's map.
export function depth({ layers, maps }, show) {
  const ticks = marks(layers.length);
  const x = {
    domain: [0, Math.max(1, layers.length - 1)],
    title: "layer, by its number in the table below",
    axis: { ticks, tickFormat: (i) => String(i + 1) },
  };
  const line = (name, value) => ({
    name,
    marks: layers.length < 60,
    points: layers.map((layer, i) => [i, value(layer)]),
  });
  const theoretical = line("theoretical side", ({ trf_size, is_global }) => (is_global ? null : geometric(trf_size)));
  const series = [
    { ...theoretical, isWide: true },
    line("effective size", ({ erf_size }) => erf_size),
    line("side of the 50 % box", ({ mass_50_side }) => mass_50_side),
  ];
  // A global field has no size of its own, and theoretical sizes far beyond the rest would press it flat.
  const high = top(series.flatMap(({ points }) => points.map(([, value]) => value)));
  const label = `Sizes of ${counted(layers.length, "layer")}, from input to output; the table below has the numbers.`;
  const picture = chart({ series, x, y: { domain: [0, high], title: lengthUnit(layers[0]?.trf_size.length) }, label });
  return h("div", {}, picture, table(layers, maps?.layers === false ? null : show));
}

function marks(count) {
  const step = Math.max(1, Math.ceil(count / 12));
  return Array.from({ length: count }, (_, i) => i).filter((i) => i % step === 0);
}

function table(layers, show) {
  const heads = ["Layer", "Stride", "TRF", "ERF size", "ERF / TRF", "50 % box"];
  const rows = layers.map((layer, place) => {
    const error = layer.stderr ?? {};
    const cells = [
      by(layer.trf_stride),
      layer.is_global ? globalWords(layer) : inUnit(by(layer.trf_size), unitOf(layer)),
      withError(layer.erf_size, error.erf_size, unitOf(layer)),
      percent(layer.erf_ratio),
      withError(layer.mass_50_side, error.mass_50_side, unitOf(layer)),
    ];
    const name = show
      ? button(layer.name, () => show({ layer: layer.name }), { className: "link", title: "Show this layer's map" })
      : layer.name;
    return h(
      "tr",
      {},
      rowHead(h("span", {}, `${place + 1}. `, name), `${layer.operator} · ${by(layer.shape)}`),
      ...cells.map((words, i) => h("td", { className: "value", textContent: words, data: { head: heads[i + 1] } })),
    );
  });
  return h(
    "div",
    { className: "scroll tall", tabIndex: 0, aria: { role: "region", label: "Layers along depth" } },
    h("table", { className: "answer" }, heading(heads), h("tbody", {}, ...rows)),
  );
}

const unitOf = (layer) => lengthUnit(layer.trf_size.length);

function globalWords({ trf }) {
  const local = trf ? localWords(trf) : "";
  return local ? `global; ${local}` : "global";
}

// Mean of the map and cumulative mass by radius, each to its own maximum.
export function radial({ radial: { radius, profile, cumulative, r50, r90, r99 }, trf }) {
  return radials([{ name: "", radius, profile, cumulative, r50, r90, r99 }], trf.size.length);
}

// The same for several measurements in one chart, of inputs with so many axes.
export function radials(found, axes) {
  const high = Math.max(...found.map(({ radius }) => radius.at(-1) ?? 1));
  const named = (name, words) => (name ? `${name}: ${words}` : words);
  const series = found.flatMap(({ name, radius, profile, cumulative }) => {
    const peak = Math.max(...profile) || 1;
    const mean = { name: named(name, "mean of the map"), points: radius.map((at, i) => [at, profile[i] / peak]) };
    const mass = { name: "share of the mass within", points: radius.map((at, i) => [at, cumulative[i]]) };
    return found.length > 1 ? [{ ...mass, name: name }] : [mean, mass];
  });
  const rules = ["r50", "r90", "r99"]
    .filter((name) => found.length === 1 && found[0][name])
    .map((name) => ({ at: found[0][name], name: `${name} ${length(found[0][name], axes, 3)}` }));
  return chart({
    series,
    rules,
    x: { domain: [0, high], title: `distance from the projected centre (${lengthUnit(axes)})` },
    y: { domain: [0, 1], title: found.length > 1 ? "share of the mass within" : "share" },
    label: "Map and mass by distance from the projected centre",
    height: 280,
  });
}
