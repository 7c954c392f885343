// Two or more measurements side by side: one scale of lengths for each number of axes, one of colours, one table.

import * as api from "/page/api.js";
import { copyLink } from "/page/card.js";
import { byMetric, conclusion, metrics } from "/page/compared.js";
import { distinct } from "/page/differences.js";
import { button, choice, fileName, h, save } from "/page/dom.js";
import { maximum, sum } from "/page/field.js";
import { figure } from "/page/figure.js";
import * as npy from "/page/npy.js";
import { belongsTo, networkOf } from "/page/overlay.js";
import { savePng, saveSvg, sheet } from "/page/portable.js";
import { radials } from "/page/profile.js";
import { look, set } from "/page/state.js";
import { toolbar } from "/page/toolbar.js";
import { commonSize } from "/page/window.js";

const VALUES = [
  ["peak", "each to its own maximum"],
  ["mass", "share of the mass, one scale"],
];

// Shows the jobs of these ids in `host`; throws a Problem where one of them cannot be shown.
export async function showComparison(host, ids) {
  host.replaceChildren(h("p", { className: "empty muted", textContent: "Loading …" }));
  const jobs = await Promise.all(ids.map(api.look));
  const unfinished = jobs.find(({ result }) => !result);
  if (unfinished)
    throw new api.Problem({
      title: "Not to compare yet",
      detail: `${unfinished.model.name} is ${unfinished.status}; only finished measurements can be compared.`,
    });
  const fields = await Promise.all(jobs.map(async (job) => npy.parse(await api.bytes(job.links.map))));
  const { model, names } = distinct(jobs);
  belongsTo([...new Set(jobs.map(networkOf))].join());
  const panels = h("div", { className: "panels" });
  let figures = [];
  const draw = () => {
    figures = figuresOf(jobs, fields, names);
    panels.replaceChildren(...figures.map(({ root }, i) => panel(jobs[i], names[i], root)));
  };
  const file = fileName("erf", "comparison", model, ...names);
  const downloads = h(
    "div",
    { className: "toolbar downloads", aria: { role: "group", label: "Downloads" } },
    h("span", { className: "muted", textContent: "Download" }),
    button("PNG", () => savePng(sheet(figures, names), file)),
    button("SVG", () => saveSvg(sheet(figures, names), file)),
    button("CSV", () => save(csv(jobs, names), `${file}.csv`, "text/csv")),
  );
  const ranks = [...new Set(fields.map(({ shape }) => shape.length))];
  const controls = toolbar({ rank: Math.max(...ranks), complain: () => {} });
  controls.prepend(choice("Values", VALUES, look.values, (values) => (set({ values }), draw())));
  draw();
  const curves = (rank) =>
    jobs
      .map(({ result }, i) => ({ name: names[i], ...result.radial }))
      .filter(({ radius }, i) => radius.length && fields[i].shape.length === rank);
  const title = [`Comparison of ${jobs.length}`, model].filter(Boolean).join(": ");
  const copy = button("Copy link", () => copyLink(copy));
  host.replaceChildren(
    h(
      "article",
      { className: "card", aria: { label: "Comparison" } },
      h("div", { className: "title" }, h("h2", { textContent: title, tabIndex: -1 }), copy),
      ...conclusion(jobs, names).map((textContent) => h("p", { className: "headline", textContent })),
      controls,
      panels,
      downloads,
      h("h3", { textContent: "Metrics" }),
      ...metrics(jobs, names),
      h("h3", { textContent: "Mass by distance from the centre" }),
      ...ranks.filter((rank) => curves(rank).length).map((rank) => radials(curves(rank), rank)),
    ),
  );
}

function asShares(field) {
  const total = sum(field.values) || 1;
  return { ...field, values: field.values.map((value) => value / total) };
}

// Every figure shows as much as the largest view of its rank needs, so that lengths compare. Pixels
// and samples have no scale in common.
function figuresOf(jobs, fields, names) {
  const isMass = look.values === "mass";
  const scaled = fields.map((field, i) => ({ field: isMass ? asShares(field) : field, trf: jobs[i].result.trf }));
  const alike = Map.groupBy(scaled, ({ field }) => field.shape.length);
  const sizes = new Map([...alike].map(([rank, subjects]) => [rank, commonSize(subjects)]));
  const top = (rank) => Math.max(...alike.get(rank).map(({ field }) => maximum(field.values)));
  return scaled.map(({ field, trf }, i) =>
    figure({
      field,
      trf,
      top: isMass ? top(field.shape.length) : undefined,
      size: sizes.get(field.shape.length),
      label: `Map of ${names[i]}.`,
      barTitle: isMass ? "share of the highest density" : undefined,
    }),
  );
}

function panel({ id, model }, name, root) {
  const link = h("a", { href: `#/job/${encodeURIComponent(id)}`, textContent: name });
  return h("section", { className: "panel", aria: { label: model.name } }, h("h3", {}, link), root);
}

// A line for each metric; value and standard error of each job.
function csv(jobs, names) {
  const plain = names.map((name) => name.replaceAll("\u00a0", " "));
  const heads = ["metric", ...plain.flatMap((name) => [name, `stderr of ${name}`])];
  const lines = byMetric(jobs).map(([name, cells]) => [name, ...cells.flatMap((row) => [row?.value, row?.stderr])]);
  return [heads, ...lines].map((cells) => cells.map(quoted).join(",") + "\n").join("");
}

// A spreadsheet computes what begins like a formula.
function quoted(cell) {
  const text = typeof cell === "string" ? cell.replace(/^(?=[=+\-@\t\r])/, "'") : String(cell ?? "");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
