// What all figures share: Observable Plot with the page's colours, and charts that are as wide as their place.

import * as Plot from "/page/observable-plot.js";
import { h, svg } from "/page/dom.js";
import { number } from "/page/format.js";
import { FONT, palette } from "/page/palette.js";
import { whileShown } from "/page/state.js";

const tickFormat = (value) => number(value);
const DASHES = ["", "7 4", "2 3", "10 3 2 3"];

// A plot in these colours. Its own style sheet is left out: the service's policy allows none, and it adds nothing.
export function drawn({ colours, label, ...options }) {
  const style = { color: colours.muted, background: "none", fontFamily: FONT, fontSize: "11px", overflow: "visible" };
  return plain(Plot.plot({ ariaLabel: label, style, ...options }));
}

// One picture with one name for screen readers: the names that the library gives its parts would be read one by one.
export function plain(root) {
  for (const sheet of root.querySelectorAll("style")) sheet.remove();
  for (const part of root.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
  root.setAttribute("role", "img");
  return root;
}

// `inner` at a place of `root`, which stays one SVG.
export function inset(root, inner, x, y) {
  inner.setAttribute("x", x);
  inner.setAttribute("y", y);
  if (!inner.hasAttribute("text-anchor")) inner.setAttribute("text-anchor", "start"); // not the outer plot's
  inner.setAttribute("aria-hidden", "true");
  root.append(inner);
}

// Words beside a plot, broken into lines that fit; how tall they are is told before they are drawn.
export function caption(words, width, size = 11) {
  const most = Math.max(20, Math.floor(width / (0.52 * size)));
  const step = Math.round(1.36 * size);
  const lines = words.match(new RegExp(`.{1,${most}}(?: |$)`, "gu")) ?? [];
  const draw = (root, x, y, { muted: fill }) => {
    const look = { fill, "font-size": size, "font-family": FONT, "text-anchor": "start" };
    lines.forEach((line, i) => root.append(svg("text", { x, y: y + step * i, ...look }, line)));
  };
  return { height: step * lines.length, draw };
}

// Lines over an axis. series: [{ name, points: [[x, y] …], marks, isWide }], of which wide ones stay in sight below the
// others; rules: [{ at, name }]. Drawn again when the theme
// or the width of its place changes.
export function chart({ series, rules = [], x, y, label, height = 300 }) {
  const place = h("div");
  const title = h("p", { className: "axis-title", textContent: x.title });
  const root = h("div", { className: "plot" }, place, title, legend([...series, ...rules], series.length));
  let width = 0;
  function redraw() {
    if (width < 50) return;
    const colours = palette();
    const marks = [
      Plot.gridY({ stroke: colours.muted, strokeOpacity: 0.2 }),
      ...rules.map(({ at }, i) => Plot.ruleX([at], { stroke: colours.series[2], strokeDasharray: DASHES[i] })),
      ...series.flatMap((one, i) => lines(one, i, colours)),
      Plot.axisX({ label: null, tickFormat, ...x.axis }),
    ];
    const scales = {
      x: { domain: x.domain, label: null },
      y: { domain: y.domain, label: y.title, labelArrow: "none", tickFormat },
    };
    place.replaceChildren(drawn({ colours, label, width, height, marginLeft: 48, marginTop: 26, ...scales, marks }));
    colour(root, colours);
  }
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    redraw();
  }).observe(root);
  whileShown(root, redraw);
  return root;
}

const strokeOf = (i, colours) => colours.series[i % colours.series.length];

const WIDE = 7; // pixels
const PALE = 0.35;

function lines({ points, marks, isWide }, i, colours) {
  const data = points.filter(([, value]) => value !== null && value !== undefined);
  const stroke = strokeOf(i, colours);
  if (isWide) return [Plot.line(data, { stroke, strokeWidth: WIDE, strokeOpacity: PALE, strokeLinecap: "round" })];
  const line = Plot.line(data, { stroke, strokeWidth: 1.8, strokeDasharray: DASHES[i % DASHES.length] });
  return marks ? [line, Plot.dot(data, { fill: stroke, r: 2.6 })] : [line];
}

// A sample of each line beside its name; rules look like the third colour.
function legend(items, first) {
  const entries = items.map(({ name, isWide }, i) => {
    const index = i < first ? i : i - first;
    const sample = svg("svg", { "width": 28, "height": 8, "aria-hidden": "true" });
    const line = {
      "x1": 0,
      "x2": 28,
      "y1": 4,
      "y2": 4,
      "stroke-width": isWide ? WIDE : 2,
      "stroke-opacity": isWide ? PALE : 1,
      "stroke-dasharray": DASHES[index % DASHES.length],
    };
    sample.append(svg("line", { ...line, "data-colour": i < first ? i : 2 }));
    return h("li", {}, sample, ` ${name}`);
  });
  return h("ul", { className: "legend" }, ...entries);
}

function colour(root, colours) {
  for (const line of root.querySelectorAll("[data-colour]"))
    line.setAttribute("stroke", strokeOf(Number(line.dataset.colour), colours));
}
