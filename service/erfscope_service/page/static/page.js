// The page: what the address bar says is what is shown. #/job/ID, #/compare/ID+ID, #/tiles/ID, #/fit/ID, #/advice/ID,
// #/series/ID, or nothing yet.

import * as api from "/page/api.js";
import { showComparison } from "/page/compare.js";
import { $, button, h } from "/page/dom.js";
import * as form from "/page/form.js";
import { explained, setUp as setUpGlossary } from "/page/glossary.js";
import * as history_ from "/page/history.js";
import { showJob } from "/page/job.js";
import * as key from "/page/key.js";
import { complain } from "/page/problem.js";
import * as question from "/page/question.js";
import * as series from "/page/series.js";
import { load as loadWords } from "/page/words.js";

const EXAMPLES = [
  ["resnet18", "ResNet-18: an image network"],
  ["vgg16", "VGG-16: an image network without skips"],
  ["plain-20-relu", "20 convolutions, as in the article"],
  ["wave-1d", "WaveNet's dilations: sound"],
  ["volume-3d", "3-D convolutions: a volume"],
];
const INTRODUCTION =
  "The map shows where in the input one unit of a layer really looks (its effective receptive field, ERF), next to " +
  "where it could look (its theoretical receptive field, TRF).";
const PAUSE = 15_000; // milliseconds between looks at workers and open jobs

let stop = () => {};
let held = null; // the job that a POST just answered with

async function route() {
  stop();
  stop = () => {};
  const address = location.hash;
  const [, kind, rest = ""] = address.split("/");
  history_.draw();
  await loadWords();
  if (address !== location.hash) return;
  try {
    if (kind === "job") await open(decodeURIComponent(rest), address);
    else if (kind === "compare") await openComparison(rest.split("+").map(decodeURIComponent), address);
    else if (kind === "series") await openSeries(decodeURIComponent(rest), address);
    else if (question.isKind(kind)) await openQuestion(kind, decodeURIComponent(rest), address);
    else empty();
  } catch (error) {
    if (address !== location.hash) return;
    const problem = h("div", { className: "problem", aria: { role: "alert" } });
    complain(problem, error);
    $("view").replaceChildren(problem);
    toView();
  }
}

async function open(id, address) {
  const job = held?.id === id ? held : await api.look(id);
  if (address !== location.hash) return;
  stop = showJob($("view"), job, { reuse: form.reuse, changed: () => history_.load().finally(stay) });
  toView();

  // A job that ends grows by screens, and the browser may keep in place what lies below it.
  function stay() {
    if (address === location.hash) toView();
  }
}

async function openComparison(ids, address) {
  await showComparison($("view"), ids);
  if (address === location.hash) toView();
}

async function openQuestion(kind, id, address) {
  const job = held?.id === id ? held : await question.lookAt(kind, id);
  if (address !== location.hash) return;
  stop = question.showQuestion($("view"), kind, job, history_.load);
  toView();
}

async function openSeries(id, address) {
  const looked = held?.id === id ? held : await series.lookAt(id);
  if (address !== location.hash) return;
  stop = series.showSeries($("view"), looked, history_.load);
  toView();
}

// The form may be longer than the screen, and on a phone it comes first: whoever opens an answer is taken to it. Where
// it begins near the top of the page, the header is left in sight.
function toView() {
  const { top } = $("view").getBoundingClientRect();
  if (top >= 0 && top <= innerHeight / 2) return;
  if (top + scrollY <= innerHeight / 2) scrollTo({ top: 0 });
  else $("view").scrollIntoView({ block: "start" });
}

// The address stays that of what is shown.
function toHistory(event) {
  event.preventDefault();
  $("history-title").scrollIntoView({ block: "start" });
  $("history-title").focus({ preventScroll: true });
}

function empty() {
  $("view").replaceChildren(
    h(
      "div",
      { className: "empty" },
      h("p", {}, h("strong", { textContent: "Choose a network and measure it." })),
      h("p", {}, ...explained(INTRODUCTION)),
      h("p", { textContent: "Or try an example:" }),
      h("div", { className: "examples" }, ...EXAMPLES.map(example)),
    ),
  );
}

const example = ([name, words]) =>
  button(words, () => form.example(name, (job) => submitted("job", job)), { title: `Measure the preset ${name}` });

function submitted(kind, job) {
  held = job;
  const address = `#/${kind}/${encodeURIComponent(job.id)}`;
  if (location.hash === address) route();
  else location.hash = address;
  history_.load();
  toView();
  $("view").focus({ preventScroll: true });
}

async function countWorkers() {
  try {
    const { workers } = await api.ready();
    $("workers").textContent = workers === 1 ? "1 worker" : `${workers} workers`;
    $("workers").dataset.state = workers ? "up" : "idle";
  } catch {
    $("workers").textContent = "not ready";
    $("workers").dataset.state = "down";
  }
}

// First: a file may be dropped at once.
form.setUp((job) => submitted("job", job)).catch((error) => complain($("problem"), error));
question.setUp(form.network, form.load, submitted);
series.setUp(form.request, submitted);
key.show();
setUpGlossary();
$("forget-key").addEventListener("click", key.forget);
history_.setUp();
$("to-history").addEventListener("click", toHistory);
window.addEventListener("hashchange", route);
countWorkers();
const lookAgain = () => document.hidden || (countWorkers(), history_.refresh());
setInterval(lookAgain, PAUSE);
document.addEventListener("visibilitychange", lookAgain);
route();
history_.load();
