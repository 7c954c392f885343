// What was asked for earlier, newest first: to open again, to compare, to remove.

import * as api from "/page/api.js";
import { $, announce, button, h } from "/page/dom.js";
import { ENDED } from "/page/events.js";
import { feed } from "/page/feed.js";
import { ago, by, clock, counted, targetWords } from "/page/format.js";
import { complain } from "/page/problem.js";
import { askedWords, isKind, lookAt, titleOf } from "/page/question.js";

const UNDO = 8000; // milliseconds in which a removal can be taken back
const marked = new Set();
const leaving = new Map(); // id → { name, path, timer } of what is removed when the time for an undo is over
const questions = new Map(); // id → job of those that have ended
let entries = []; // { kind, work }
let lists = null; // where the older ones come from

export function setUp() {
  window.addEventListener("pagehide", () =>
    [...leaving.values()].forEach(({ path }) => api.remove(path, { keepalive: true })),
  );
  $("older").addEventListener("click", () => add(lists, entries));
  $("compare").addEventListener(
    "click",
    () => (location.hash = `#/compare/${[...marked].map(encodeURIComponent).join("+")}`),
  );
}

export async function load() {
  const fresh = feed(api.json);
  await add(fresh, []);
}

async function add(from, before) {
  $("older").disabled = true; // a second click would lose the first one's page
  try {
    const page = await Promise.all((await from.next()).map(withRequest));
    lists = from;
    entries = [...before, ...page];
    complain($("history-problem"), null);
    draw();
  } catch (error) {
    complain($("history-problem"), error);
  } finally {
    $("older").disabled = false;
  }
}

// Lists leave out what a question asked; it is looked up once, for it stays the same.
async function withRequest({ kind, work }) {
  if (!isKind(kind)) return { kind, work };
  const job = questions.get(work.id) ?? (await lookAt(kind, work.id).catch(() => null));
  if (job && ENDED.has(job.status)) questions.set(work.id, job);
  return { kind, work: { ...work, request: job?.request, result: job?.result } };
}

// Tells anew how long ago each was, and looks again while something in the list is still on its way.
export async function refresh() {
  for (const time of $("history").querySelectorAll("time")) time.textContent = ago(time.dateTime);
  if (entries.some(({ work }) => work.status && !ENDED.has(work.status))) await load();
}

// What is shown now is marked as such.
export function draw() {
  const shown = new Set(decodeURIComponent(location.hash).split(/[/+]/).slice(2));
  $("older").hidden = !lists || lists.isOver();
  $("history").replaceChildren(
    ...entries.map(({ kind, work }) =>
      leaving.has(work.id) ? farewell(work) : entry(kind, work, shown.has(work.id)),
    ),
  );
  if (!entries.length)
    $("history").append(h("li", { className: "hint", textContent: "Nothing has been measured yet." }));
  count();
}

function count() {
  $("compare").disabled = marked.size < 2;
  $("compare").textContent = marked.size < 2 ? "Mark two to compare" : `Compare ${marked.size}`;
}

function entry(kind, work, isShown) {
  const { title, name, facts } = told(kind, work);
  const { created_at: at } = work;
  const time = h("time", { dateTime: at, title: clock(at), textContent: ago(at) });
  const state = work.status
    ? h("span", { className: "state", data: { state: work.status }, textContent: work.status })
    : null;
  const link = h(
    "a",
    { className: "entry", href: `#/${kind}/${encodeURIComponent(work.id)}` },
    h("strong", { textContent: title }),
    h("span", { textContent: facts }),
    h("span", { className: "when" }, state, time),
  );
  if (isShown) link.setAttribute("aria-current", "true");
  const drop = h("button", {
    type: "button",
    className: "quiet small",
    textContent: "×",
    hidden: !ENDED.has(work.status), // a series ends with its jobs
    aria: { label: `Remove ${name}` },
    on: { click: () => remove(work, name) },
  });
  return h("li", {}, kind === "job" ? mark(work, name) : h("span", { className: "unmarked" }), link, drop);
}

// Of a measurement, a question and a series: whose it is, what it is called aloud, and what was asked.
function told(kind, work) {
  if (kind === "series") {
    const facts = counted(work.points, "point");
    return { title: `Series over ${work.x_label || "its models"}`, name: "series", facts };
  }
  const title = work.model.name;
  const { request } = work;
  if (kind === "job") return { title, name: `${title}, ${targetWords(request.target)}`, facts: facts(request) };
  const asked = request ? askedWords(kind, work) : "";
  const name = [`${titleOf(kind).toLowerCase()} of ${title}`, asked].filter(Boolean).join(", ");
  return { title, name, facts: [titleOf(kind), asked].filter(Boolean).join(": ") };
}

function mark(job, name) {
  const box = h("input", {
    type: "checkbox",
    checked: marked.has(job.id),
    disabled: job.status !== "succeeded",
    aria: { label: `Mark ${name} for comparison` },
  });
  box.addEventListener("change", () => (marked[box.checked ? "add" : "delete"](job.id), count()));
  return box;
}

function facts({ target, average, dtype, method, protocol, weights, input, layers }) {
  const extras = [
    weights !== "given" && weights,
    dtype !== "float32" && dtype,
    method !== "gradient" && method,
    protocol !== "erfscope" && protocol,
    average.weights > 1 && `${average.weights} draws`,
    input.source !== "normal" && input.source,
    input.shape && by(input.shape),
    average.seed && `seed ${average.seed}`,
    layers === "all" && "all layers",
  ];
  return [targetWords(target), `${average.inputs} × ${average.statistic}`, ...extras.filter(Boolean)].join(" · ");
}

// Nothing is lost at once: for a few seconds a line in the entry's place offers it back.
function remove(work, name) {
  marked.delete(work.id);
  leaving.set(work.id, { name, path: work.links.self, timer: setTimeout(() => purge(work.id), UNDO) });
  announce(`${name} removed`);
  draw();
  document.getElementById(`undo-${work.id}`).focus();
}

function restore(work) {
  clearTimeout(leaving.get(work.id).timer);
  leaving.delete(work.id);
  announce(`${work.model.name} is back`);
  draw();
}

async function purge(id) {
  try {
    await api.remove(leaving.get(id).path);
    entries = entries.filter(({ work }) => work.id !== id);
  } catch (error) {
    complain($("history-problem"), error);
  } finally {
    leaving.delete(id);
    draw();
  }
}

function farewell(work) {
  const { name } = leaving.get(work.id);
  const undo = button("Undo", () => restore(work), { id: `undo-${work.id}` });
  undo.setAttribute("aria-label", `Undo: bring ${name} back`);
  return h(
    "li",
    { className: "hint" },
    h("span", { className: "gone", textContent: `${work.model.name} removed` }),
    undo,
  );
}
