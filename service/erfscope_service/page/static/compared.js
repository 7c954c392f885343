// The numbers of a comparison: which field is larger, the metrics that matter, and all of them.

import { h } from "/page/dom.js";
import { hasGaps } from "/page/gaps.js";
import { capital, inTwo, lengthUnit, number, typeset, withError } from "/page/format.js";
import { table } from "/page/tables.js";
import { label, legend, telling } from "/page/words.js";

const FIRST = [
  ...["erf_size", "erf_ratio", "trf_size", "mass_50_side", "mass_99_side"],
  ...["sigma_1", "anisotropy", "r2", "lattice"],
];
const [ERF, SPAN] = ["erf_size", "mass_99_side"];
const SURE = 2; // standard errors of a difference
const GAPS = "The ERF leaves out the gaps of a map, so the sides of the boxes with 99 % of the mass are compared.";

// [[flat name, [the metric of each job, or undefined]] …], without those that no job has.
export function byMetric(jobs) {
  const names = [...new Set(jobs.flatMap(({ metrics: rows }) => telling(rows).map(({ name }) => name)))];
  return names.map((name) => [name, jobs.map(({ metrics: rows }) => rows.find((row) => row.name === name))]);
}

// The table of the metrics that matter, what its marks mean, and the whole table behind a summary.
export function metrics(jobs, names) {
  const rows = byMetric(jobs);
  const first = FIRST.flatMap((name) => rows.filter(([one]) => one === name));
  const words = rows.flatMap(([, cells]) => cells.map((row) => row?.text ?? ""));
  const all = h("details", {}, h("summary", { textContent: `All ${rows.length} metrics` }), compared(rows, names));
  return [compared(first, names), all, legend(words)];
}

function compared(rows, names) {
  const texts = (cells) => cells.map((row) => inTwo(typeset(row?.text ?? "–")));
  const lines = rows.map(([, cells]) => [typeset(cells.find(Boolean).label), ...texts(cells)]);
  const made = table(["Metric", ...names], lines, "value", "compared");
  made.style.setProperty("--jobs", names.length);
  return made;
}

// Which of the fields is larger, and by how much; nothing where lengths have no common unit or one is unknown.
export function conclusion(jobs, names) {
  if (new Set(jobs.map(({ result }) => result.trf.size.length)).size > 1) return [];
  const gaps = names.filter((_, i) => hasGaps(jobs[i].result));
  const metric = gaps.length ? SPAN : ERF;
  const found = jobs.map(({ metrics: rows }, i) => ({
    ...rows.find(({ name, value }) => name === metric && value !== null),
    who: names[i],
  }));
  if (found.some(({ value }) => value === undefined)) return [];
  const sorted = found.toSorted((one, other) => other.value - one.value);
  return [
    difference(sorted[0], sorted.at(-1), metric, jobs[0].result.trf.size.length, jobs.length),
    ...(gaps.length ? [`Gaps are in the map of ${gaps.join(", ")}. ${typeset(GAPS)}`] : []),
  ];
}

function difference(large, small, metric, rank, count) {
  const name = capital(label(metric).replace(/ \(.*\)$/, ""));
  const values = `${name}: ${typeset(large.text)} of ${large.who} against ${typeset(small.text)} of ${small.who}`;
  const which = count > 2 ? `, the largest and the smallest of ${count}` : "";
  const [more, error] = [large.value - small.value, Math.hypot(large.stderr ?? 0, small.stderr ?? 0)];
  if (more <= SURE * error) return `${values}${which}: no difference beyond the standard errors.`;
  const times = `${number(large.value / small.value, 3)} times as large`;
  return `${values}${which}: ${times}, a difference of ${withError(more, error, lengthUnit(rank))}.`;
}
