// A series: a spec with one parameter at several values. Its points as they finish, and how a metric follows.

import * as api from "/page/api.js";
import { chart } from "/page/charts.js";
import { $, choice, h } from "/page/dom.js";
import { inTwo, typeset, withError } from "/page/format.js";
import { GRIDDED } from "/page/gaps.js";
import { forgive, refuse } from "/page/problem.js";
import { shown } from "/page/question.js";
import { heading, rowHead } from "/page/tables.js";
import { label } from "/page/words.js";

// `request` gives what the form asks of a spec; `submitted` gets ("series", series).
export function setUp(request, submitted) {
  $("series-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    forgive();
    try {
      submitted("series", await api.ask("/series", asked(request())));
    } catch (error) {
      refuse($("question-problem"), error);
    }
  });
}

const METRICS = ["erf_size", "erf_ratio", "trf_size", "mass_50_side", "mass_99_side", "lattice"];
const GAPS =
  "have a gridding above 0.1: a map with gaps, which the ERF leaves out. The side of the box with 99 % of the mass " +
  "tells how far the field reaches.";

function asked({ model, ...request }) {
  if (!model.architecture)
    throw new api.Problem({
      title: "A series needs a spec",
      detail: "It measures a layer spec with a parameter at several values. Choose Layer spec above.",
    });
  const parameter = $("parameter").value.trim();
  const sweep = { architecture: model.architecture, parameters: [parameter], values: values($("values").value) };
  return { sweep, x_label: parameter, metrics: METRICS, request };
}

const USUAL = { times: "5, 10, 20", kernel_size: "3, 5, 7" }; // fields that a series may follow, best first
let suggested = $("parameter").value;

// Offers a parameter that this spec has, unless the user wrote one; none where it has nothing of the kind.
export function suggest(spec) {
  if ($("parameter").value !== suggested) return;
  const places = Object.keys(USUAL).flatMap((field) => found(spec?.layers, field, "/layers"));
  suggested = $("parameter").value = places[0] ?? "";
  if (suggested) $("values").value = USUAL[suggested.split("/").at(-1)];
}

// JSON pointers of the whole numbers of this name in a list of layers, outermost first.
function found(layers, field, at) {
  if (!Array.isArray(layers)) return [];
  const own = layers.flatMap((layer, i) => (Number.isInteger(layer?.[field]) ? [`${at}/${i}/${field}`] : []));
  return [...own, ...layers.flatMap((layer, i) => found(layer?.layers, field, `${at}/${i}/layers`))];
}

// "3, 5, 7" or a JSON list; what is no number stays a word.
function values(text) {
  try {
    const list = JSON.parse(text);
    if (Array.isArray(list)) return list;
  } catch {
    // not a list: words with commas between them
  }
  return text
    .split(/[\s,;]+/)
    .filter(Boolean)
    .map((word) => (Number.isNaN(Number(word)) ? word : Number(word)));
}

export const lookAt = (id) => api.json(`/series/${encodeURIComponent(id)}`);

// Shows a series in `host` and looks at it until it has ended; returns what stops that.
export function showSeries(host, series, changed) {
  const [picture, points] = [h("div"), h("div")];
  let metric = series.metrics[0];
  let latest = series;
  const draw = () => picture.replaceChildren(trend(latest, metric));
  const change = (name) => ((metric = name), draw());
  const named = shownOf(series.metrics).map((name) => [name, label(name)]);
  const pick = choice("Metric", named, metric, change);
  const body = h("div", { className: "result" }, h("div", {}, pick), picture, points);
  const title = `Series over ${series.x_label || "its models"}`;
  const content = (now) => {
    latest = now;
    points.replaceChildren(table(now), ...gaps(now));
    draw();
    return body;
  };
  return shown(host, series, changed, { title, label: title, content });
}

// Which points have maps with gaps, and what that does to their sizes.
function gaps({ points }) {
  const gridded = points.filter(({ metrics }) => metrics.lattice > GRIDDED).map((one) => one.label);
  return gridded.length ? [h("p", { className: "hint", textContent: typeset(`${gridded.join(", ")} ${GAPS}`) })] : [];
}

function trend({ points, x_label: title }, metric) {
  const places = points.map(({ x }) => x);
  const line = points.map(({ x, metrics }) => [x, metrics[metric] ?? null]);
  const known = line.map(([, value]) => value).filter((value) => value !== null);
  if (!known.length) return h("p", { className: "muted", textContent: "No point has this metric yet." });
  return chart({
    series: [{ name: label(metric), points: line, marks: true }],
    x: { domain: [Math.min(...places), Math.max(...places)], title, axis: ticksOf(places) },
    y: { domain: [Math.min(0, ...known), 1.05 * Math.max(1e-9, ...known)], title: label(metric) },
    label: `${label(metric)} along the series; the table below has the numbers.`,
    height: 280,
  });
}

// Of whole numbers only those that were measured have a tick.
const MOST_TICKS = 12;
const ticksOf = (places) => (places.length <= MOST_TICKS && places.every(Number.isInteger) ? { ticks: places } : {});

// Gridding is told in words.
const shownOf = (metrics) => metrics.filter((name) => name !== "lattice");

function table({ points, metrics, x_label: title }) {
  const heads = [title || "Model", ...shownOf(metrics).map((name) => label(name)), "State"];
  const rows = points.map((point) => {
    const link = h("a", { href: `#/job/${encodeURIComponent(point.job)}`, textContent: point.label });
    const cells = shownOf(metrics).map((name) => inTwo(withError(point.metrics[name] ?? null, point.stderr[name])));
    const words = point.error ? `${point.status}: ${point.error.detail}` : point.status;
    return h("tr", {}, rowHead(link), ...[...cells, words].map((cell, i) => cellOf(cell, i, heads)));
  });
  const about = { className: "scroll", tabIndex: 0, aria: { role: "region", label: "Points of the series" } };
  return h("div", about, h("table", { className: "answer series" }, heading(heads), h("tbody", {}, ...rows)));
}

const cellOf = (textContent, i, heads) =>
  h("td", { className: i === heads.length - 2 ? "reason" : "value", textContent, data: { head: heads[i + 1] } });
