// Earlier jobs, newest first: to open again, to compare, to remove.

import * as api from "/page/api.js";
import { $, announce, button, h } from "/page/dom.js";
import { ENDED } from "/page/events.js";
import { ago, clock, targetWords } from "/page/format.js";
import { complain } from "/page/problem.js";

const UNDO = 8000; // milliseconds in which a removal can be taken back
const marked = new Set();
const leaving = new Map(); // id → { name, timer } of what is removed when the time for an undo is over
let jobs = [];
let next = null;

export function setUp() {
  window.addEventListener("pagehide", () => [...leaving.keys()].forEach((id) => api.remove(id, { keepalive: true })));
  $("older").addEventListener("click", () => load(next));
  $("compare").addEventListener(
    "click",
    () => (location.hash = `#/compare/${[...marked].map(encodeURIComponent).join("+")}`),
  );
}

export async function load(token = null) {
  try {
    const page = await api.recent(token);
    jobs = token ? [...jobs, ...page.jobs] : page.jobs;
    next = page.next_page_token;
    complain($("history-problem"), null);
    draw();
  } catch (error) {
    complain($("history-problem"), error);
  }
}

// Looks again while something in the list is still on its way.
export async function refresh() {
  if (jobs.some(({ status }) => !ENDED.has(status))) await load();
}

// The jobs that are shown now are marked as such.
export function draw() {
  const shown = new Set(decodeURIComponent(location.hash).split(/[/+]/).slice(2));
  $("older").hidden = !next;
  $("history").replaceChildren(
    ...jobs.map((job) => (leaving.has(job.id) ? farewell(job) : entry(job, shown.has(job.id)))),
  );
  if (!jobs.length) $("history").append(h("li", { className: "hint", textContent: "Nothing has been measured yet." }));
  count();
}

function count() {
  $("compare").disabled = marked.size < 2;
  $("compare").textContent = marked.size < 2 ? "Mark two to compare" : `Compare ${marked.size}`;
}

function entry(job, isShown) {
  const name = `${job.model.name}, ${targetWords(job.request.target)}`;
  const box = h("input", {
    type: "checkbox",
    checked: marked.has(job.id),
    disabled: job.status !== "succeeded",
    aria: { label: `Mark ${name} for comparison` },
  });
  box.addEventListener("change", () => (marked[box.checked ? "add" : "delete"](job.id), count()));
  const { average, dtype, method, protocol, weights, input, layers } = job.request;
  const extras = [
    weights !== "given" && weights,
    dtype !== "float32" && dtype,
    method !== "gradient" && method,
    protocol !== "erfscope" && protocol,
    average.weights > 1 && `${average.weights} draws`,
    input.source !== "normal" && input.source,
    input.shape && input.shape.join("×"),
    average.seed && `seed ${average.seed}`,
    layers === "all" && "all layers",
  ];
  const facts = [
    targetWords(job.request.target),
    `${average.inputs} × ${average.statistic}`,
    ...extras.filter(Boolean),
  ].join(" · ");
  const time = h("time", { dateTime: job.created_at, title: clock(job.created_at), textContent: ago(job.created_at) });
  const state = h("span", { className: "state", data: { state: job.status }, textContent: job.status });
  const link = h(
    "a",
    { className: "entry", href: `#/job/${encodeURIComponent(job.id)}` },
    h("strong", { textContent: job.model.name }),
    h("span", { textContent: facts }),
    h("span", { className: "when" }, state, time),
  );
  if (isShown) link.setAttribute("aria-current", "true");
  const drop = h("button", {
    type: "button",
    className: "quiet small",
    textContent: "×",
    hidden: !ENDED.has(job.status),
    aria: { label: `Remove ${name}` },
    on: { click: () => remove(job, name) },
  });
  return h("li", {}, box, link, drop);
}

// Nothing is lost at once: for a few seconds a line in the entry's place offers it back.
function remove(job, name) {
  marked.delete(job.id);
  leaving.set(job.id, { name, timer: setTimeout(() => purge(job.id), UNDO) });
  announce(`${name} removed`);
  draw();
  document.getElementById(`undo-${job.id}`).focus();
}

function restore(job) {
  clearTimeout(leaving.get(job.id).timer);
  leaving.delete(job.id);
  announce(`${job.model.name} is back`);
  draw();
}

async function purge(id) {
  try {
    await api.remove(id);
    jobs = jobs.filter((job) => job.id !== id);
  } catch (error) {
    complain($("history-problem"), error);
  } finally {
    leaving.delete(id);
    draw();
  }
}

function farewell(job) {
  const { name } = leaving.get(job.id);
  const undo = button("Undo", () => restore(job), { id: `undo-${job.id}` });
  undo.setAttribute("aria-label", `Undo: bring ${name} back`);
  return h(
    "li",
    { className: "hint" },
    h("span", { className: "gone", textContent: `${job.model.name} removed` }),
    undo,
  );
}
