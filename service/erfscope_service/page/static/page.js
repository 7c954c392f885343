// The page: what the address bar says is what is shown. #/job/ID, #/compare/ID+ID, or nothing yet.

import * as api from "/page/api.js";
import { showComparison } from "/page/compare.js";
import { $, h } from "/page/dom.js";
import * as form from "/page/form.js";
import * as history_ from "/page/history.js";
import { showJob } from "/page/job.js";
import * as key from "/page/key.js";
import { complain } from "/page/problem.js";

const PAUSE = 15_000; // milliseconds between looks at workers and open jobs

let stop = () => {};
let held = null; // the job that POST /erf just answered with

async function route() {
  stop();
  stop = () => {};
  const address = location.hash;
  const [, kind, rest = ""] = address.split("/");
  history_.draw();
  try {
    if (kind === "job") await open(decodeURIComponent(rest), address);
    else if (kind === "compare") await showComparison($("view"), rest.split("+").map(decodeURIComponent));
    else empty();
  } catch (error) {
    if (address !== location.hash) return;
    const problem = h("div", { className: "problem", aria: { role: "alert" } });
    complain(problem, error);
    $("view").replaceChildren(problem);
  }
}

async function open(id, address) {
  const job = held?.id === id ? held : await api.look(id);
  if (address === location.hash) stop = showJob($("view"), job, { reuse: form.reuse, changed: () => history_.load() });
}

function empty() {
  $("view").replaceChildren(
    h(
      "div",
      { className: "empty" },
      h("p", {}, h("strong", { textContent: "Choose a network and measure it." })),
      h("p", {
        textContent: "The map shows where in the input one unit of a layer really looks, next to where it could look.",
      }),
    ),
  );
}

function submitted(job) {
  held = job;
  const address = `#/job/${encodeURIComponent(job.id)}`;
  if (location.hash === address) route();
  else location.hash = address;
  history_.load();
  if (matchMedia("(max-width: 60rem)").matches) $("view").scrollIntoView({ block: "start" });
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

form.setUp(submitted).catch((error) => complain($("problem"), error)); // first: a file may be dropped at once
key.show();
$("forget-key").addEventListener("click", key.forget);
history_.setUp();
window.addEventListener("hashchange", route);
countWorkers();
setInterval(() => document.hidden || (countWorkers(), history_.refresh()), PAUSE);
route();
history_.load();
