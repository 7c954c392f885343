// A finished measurement: what matters at a glance, the map, and everything else below it.

import { h } from "/page/dom.js";
import { by, capital, inUnit, lengthUnit, number, typeset, unitName } from "/page/format.js";
import { hasGaps } from "/page/gaps.js";
import { explainer } from "/page/glossary.js";
import { headlineOf, weightsWords } from "/page/headline.js";
import { maps } from "/page/maps.js";
import { byAutograd, fieldFacts, globalWords, passedOver } from "/page/place.js";
import { plain } from "/page/plain.js";
import { depth, radial } from "/page/profile.js";
import { table } from "/page/tables.js";
import { notes as listed } from "/page/tiles.js";
import { units } from "/page/units.js";
import { telling } from "/page/words.js";

const OFF = 0.05; // of the input

export function result(job) {
  const found = job.result;
  const front = maps(job);
  const show = (part) => (front.show(part), front.root.scrollIntoView({ block: "start", behavior: "smooth" }));
  return h(
    "div",
    { className: "result" },
    headline(job),
    h("div", { className: "front" }, tiles(job), front.root),
    notes(job),
    found.units.length ? section("Units", units(found, show), true) : null,
    found.layers.length ? section("Along depth", depth(found, show), true) : null,
    section("Metrics", metrics(job.metrics), true),
    section("Place and reach of the unit", facts(fieldFacts(found)), true),
    reasons("Passed over by auto, nearest to the output first", "Tensor", passedOver(found)),
    reasons("Run by autograd on whole tensors", "Operator", byAutograd(found)),
    found.radial.radius.length ? section("By distance from the centre", radial(found)) : null,
    found.gaussian.ranking.length ? section("Fitted shapes", ranking(found)) : null,
    found.replknet ? section("RepLKNet script", replknet(job.metrics)) : null,
    section("Provenance", provenance(job)),
  );
}

function section(title, content, open = false) {
  return h("details", { className: "section", open }, h("summary", {}, h("h3", { textContent: title })), content);
}

// A table of names and why, in a section of its own; nothing without rows.
function reasons(title, head, rows) {
  return rows.length ? section(title, table([head, "Why"], rows, "reason")) : null;
}

// The sentence, and beneath it that no training made the weights.
function headline(job) {
  const [sentence, weights] = [headlineOf(job), weightsWords(job)];
  return h(
    "div",
    {},
    sentence ? h("p", { className: "headline", textContent: sentence }) : null,
    weights ? h("p", { className: "drawn", textContent: `${capital(weights)}.` }) : null,
  );
}

// Of lengths along the input: px, samples, voxels.
const unitOf = (rows) => rows.find(({ name }) => name === "trf_size")?.unit ?? "px";

const HEADLINE = ["erf_size", "trf_size", "erf_ratio", "mass_50_side", "sigma_1", "r2"];
const OF_GAPS = ["mass_50_side", "mass_99_side", "trf_size", "lattice", "erf_size", "sigma_1"]; // a map with gaps

function tiles({ result: found, metrics: rows }) {
  const names = hasGaps(found) ? OF_GAPS : HEADLINE;
  const shown = names.flatMap((name) => rows.filter((row) => row.name === name && row.value !== null));
  const head = (label) => capital(typeset(label));
  const made = shown.map(({ name, label, meaning, text }) =>
    h(
      "div",
      { className: "tile" },
      h("dt", {}, explainer(head(label.replace(/ \(.*\)$/, "")), [head(label), plain(meaning)])),
      h("dd", {}, ...largeAndSmall(name === "trf_size" ? inUnit(by(found.trf.size), unitOf(rows)) : typeset(text))),
    ),
  );
  return h("dl", { className: "tiles" }, ...made);
}

// "22.6 ± 0.2 px" as the value in its unit, and its error small below.
function largeAndSmall(value) {
  const [, main, error, unit] = value.match(/^(.*?)\s±\s([\d.,]+(?:\s×\s10[⁻⁰¹²³⁴-⁹]+)?)(.*)$/) ?? [];
  return main ? [`${main}${unit}`, h("small", { textContent: `± ${error}` })] : [value];
}

// What a reader must know before the numbers.
function notes({ result: found, request }) {
  const { trf, samples, layer, provenance } = found;
  const words = [...provenance.notes];
  const passed = passedOver(found).length;
  if (passed)
    words.unshift(
      `auto took ${layer.name}; a table below says why it passed over ${passed} tensor${passed > 1 ? "s" : ""}.`,
    );
  if (trf.global) words.unshift(globalWords(trf));
  else if (trf.clipped) {
    const fits = trf.size.every((side, axis) => side <= found.input_shape[axis + 1]);
    const what = fits ? "a unit nearer the centre" : "a larger input shape";
    words.unshift(`The theoretical field sticks out of the input; ${what} shows all of it.`);
  }
  if (request.target.unit === "center" && isAside(found)) words.unshift(asideWords(found));
  if (samples.dead)
    words.unshift(`${samples.dead} of ${samples.used} samples sent no gradient back (dead units); they count as zero.`);
  return listed(words);
}

const middleOf = ({ input_shape: [, ...extents] }) => extents.map((extent) => (extent - 1) / 2);

// Whether the centre unit sits so far off the middle of the input that it is seen, because units lie far apart.
function isAside(found) {
  const { trf, input_shape: shape } = found;
  const isFar = (at, axis) => Math.abs(trf.center[axis] - at) > OFF * shape[axis + 1];
  return trf.stride.every(Boolean) && middleOf(found).some(isFar);
}

function asideWords(found) {
  const { unit, trf } = found;
  const length = lengthUnit(trf.size.length);
  const places = (values) => inUnit(values.map((one) => number(one)).join(", "), length);
  return (
    `The centre unit ${unitName(unit)} of the layer (${by(found.layer.shape)}) sits at ${places(trf.center)}, ` +
    `not in the middle of the input at ${places(middleOf(found))}: units of this layer lie ` +
    `${inUnit(by(trf.stride), length)} apart, and none need lie in the middle.`
  );
}

// The rows that the job brings, under the headings of their groups; what is undefined here is left out.
function metrics(all) {
  const groups = Map.groupBy(telling(all), ({ group }) => group);
  const body = [...groups].map(([group, rows]) =>
    h(
      "tbody",
      {},
      h("tr", { className: "group" }, h("th", { colSpan: 3, scope: "rowgroup", textContent: group })),
      ...rows.map(({ label, text, meaning }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row", textContent: typeset(label) }),
          h("td", { className: "value", textContent: typeset(text) }),
          h("td", { className: "meaning", textContent: plain(meaning) }),
        ),
      ),
    ),
  );
  const head = h(
    "thead",
    {},
    h(
      "tr",
      {},
      ...["Metric", "Value ± standard error", "Meaning"].map((words) => h("th", { scope: "col", textContent: words })),
    ),
  );
  return h(
    "div",
    { className: "scroll" },
    h("table", { className: "metrics" }, h("caption", { className: "hidden", textContent: "Metrics" }), head, ...body),
  );
}

const SHAPES = {
  gaussian: "Gaussian",
  generalised_gaussian: "generalised Gaussian",
  laplace: "Laplace",
  student_t: "Student t",
  box: "box",
};

function ranking({ gaussian }) {
  const best = gaussian.ranking.find(({ aic }) => aic !== null)?.aic ?? 0;
  const rows = gaussian.ranking.map(({ shape, r2, aic }) => [
    SHAPES[shape] ?? shape.replaceAll("_", " "),
    number(r2, 4),
    aic === null ? "–" : number(aic - best, 4),
  ]);
  return h(
    "div",
    {},
    h("p", {
      className: "hint",
      textContent:
        "The same map fitted by rival shapes, best first. ΔAIC compares them with the best; lower is better.",
    }),
    table(["Shape", "R²", "ΔAIC"], rows),
  );
}

function replknet(all) {
  const rows = all
    .filter(({ name }) => name.startsWith("replknet_"))
    .map(({ name, value, text }) => [
      `${name.replace("replknet_", "")} %`,
      value === null ? "none found: limited by the input" : typeset(text),
    ]);
  return h(
    "div",
    {},
    h("p", {
      className: "hint",
      textContent:
        "Area ratio r of the smallest square that holds more than t of the logarithmic map, as the script computes it.",
    }),
    table(["t", "r"], rows),
  );
}

function provenance(job) {
  const { id, result: found, timing } = job;
  const { notes: _, autograd: __, ...rest } = found.provenance; // shown above
  const drawn = weightsWords(job);
  const rows = { job: id, ...rest, ...(drawn && { weights: `drawn: ${drawn}` }), worker: timing.worker ?? "" };
  const words = (value) => (Array.isArray(value) ? value.join(" × ") : typeset(String(value ?? "–")));
  return facts(Object.entries(rows).map(([name, value]) => [name.replaceAll("_", " "), words(value)]));
}

function facts(rows) {
  return h(
    "dl",
    { className: "facts" },
    ...rows.flatMap(([name, words]) => [h("dt", { textContent: name }), h("dd", { textContent: words })]),
  );
}
