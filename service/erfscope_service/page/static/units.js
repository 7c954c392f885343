// A grid of units: how a metric changes with the position in the layer.

import { css, readable } from "/page/colormaps.js";
import { choice, h } from "/page/dom.js";
import { length, number, percent, unitName } from "/page/format.js";
import { look, whileShown } from "/page/state.js";
import { legend } from "/page/words.js";

const METRICS = {
  erf_size: ["ERF size", ({ erf }) => erf.size, length, ({ erf }) => erf.limited?.includes("erf_size")],
  erf_ratio: ["ERF / TRF inside the input", ({ erf }) => erf.ratio_clipped, percent],
  mass_50: ["Side of the 50 % box", ({ mass }) => mass["0.50"]?.side ?? null, length],
  dead: ["Dead samples", ({ samples }) => samples.dead / samples.used, percent],
};

export function units({ units: entries, unit: main, maps, layer, trf }, show) {
  const holder = h("div");
  const said = (name) => {
    const [words, value, written, isBound = () => false] = METRICS[name];
    return [words, value, written === length ? (one) => length(one, trf.size.length, 3) : written, isBound];
  };
  let metric = "erf_size";
  const redraw = () =>
    holder.replaceChildren(table(entries, said(metric), main, maps?.units === false ? null : show));
  const pick = choice(
    "Colour by",
    Object.entries(METRICS).map(([name, [words]]) => [name, words]),
    metric,
    (value) => ((metric = value), redraw()),
  );
  const hint =
    maps?.units === false ? "Maps of the single units were too large to keep." : "Choose a unit to see its map.";
  redraw();
  whileShown(holder, redraw);
  return h(
    "div",
    {},
    h(
      "div",
      { className: "toolbar" },
      pick,
      h("span", { className: "hint", textContent: `${entries.length} units of ${layer.name}. ${hint}` }),
    ),
    holder,
  );
}

// "y 4", "z 4, y 12", or nothing in 1-D.
const rowName = (unit) => unit.map((at, i) => `${["z", "y"].slice(-unit.length)[i]} ${at}`).join(", ");

// Rows and columns as the units lie in the layer; in 1-D one row, in 3-D one row per depth and row.
function table(entries, [words, value, written, isBound], main, show) {
  const values = entries.map(value).filter((one) => one !== null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const columns = [...new Set(entries.map(({ unit }) => unit.at(-1)))];
  const rows = Map.groupBy(entries, ({ unit }) => rowName(unit.slice(0, -1)));
  const head = h("tr", {}, h("td"), ...columns.map((x) => h("th", { scope: "col", textContent: `x ${x}` })));
  const body = [...rows].map(([name, row]) => {
    const cells = columns.map((x) => cell(row.find(({ unit }) => unit.at(-1) === x)));
    return h("tr", {}, h("th", { scope: "row", textContent: name }), ...cells);
  });
  const marked = entries.some(isBound) ? [legend(["≥"])] : [];
  return h(
    "div",
    { className: "scroll" },
    h(
      "table",
      { className: "units" },
      h("caption", { className: "hidden", textContent: words }),
      h("thead", {}, head),
      h("tbody", {}, ...body),
    ),
    ...marked,
  );

  function cell(entry) {
    if (!entry) return h("td", { className: "muted", textContent: "dead" });
    const found = value(entry);
    const place = found === null ? 0 : high > low ? (found - low) / (high - low) : 0.5;
    const isMain = String(entry.unit) === String(main);
    const mark = isBound(entry) ? "≥ " : "";
    const properties = {
      type: "button",
      className: isMain ? "cell main" : "cell",
      textContent: found === null ? "–" : mark + number(found * (written === percent ? 100 : 1), 3),
      disabled: !show,
    };
    const made = h("button", {
      ...properties,
      aria: {
        label: `Unit ${unitName(entry.unit)}, ${words} ${mark}${written(found)}${isMain ? ", the main one" : ""}`,
      },
      on: { click: () => show({ unit: entry.unit }) },
    });
    made.style.background = css(look.colormap, place);
    made.style.color = readable(look.colormap, place);
    return h("td", {}, made);
  }
}
