// The page: a form that submits, a card that follows one job, a list of recent ones.

import * as api from "/page/api.js";
import { rows } from "/page/metrics.js";

const $ = (id) => document.getElementById(id);
const ENDED = new Set(["succeeded", "failed", "canceled", "expired"]);
const EXAMPLE = `{
  "name": "plain-10",
  "input": {"channels": 3, "size": [64, 64]},
  "layers": [
    {"type": "repeat", "times": 10, "layers": [
      {"type": "conv", "out_channels": 16,
       "kernel_size": 3, "padding": 1},
      {"type": "relu"}
    ]}
  ]
}
`;

let file = null;
let shown = null;
let listed = null; // the status of the shown job when the list was last read
let stop = () => {};

// ---- the form

function isSpec() {
  return $("form").elements.kind.value === "spec";
}

function showKind() {
  $("drop").hidden = isSpec();
  $("spec").hidden = !isSpec();
}

function choose(chosen) {
  if (!chosen) return;
  file = chosen;
  $("file-name").textContent = chosen.name;
  $("file-hint").textContent = `${(chosen.size / 2 ** 20).toFixed(1)} MiB, click to choose another`;
}

function request() {
  const layer = $("layer").value.trim();
  const shape = $("shape").value.trim();
  const asked = {
    average: { inputs: Number($("inputs").value), statistic: $("statistic").value },
  };
  if (layer) asked.target = { layer };
  if (shape) asked.input = { shape: shape.split(",").map(Number) };
  if (isSpec()) asked.model = { architecture: parsedSpec() };
  return asked;
}

function parsedSpec() {
  try {
    return JSON.parse($("spec").value);
  } catch (error) {
    throw new api.Problem({ detail: `The spec is not JSON: ${error.message}` });
  }
}

function complain(element, problem) {
  element.hidden = !problem;
  element.textContent = problem ? [problem.title, problem.message ?? problem.detail].filter(Boolean).join(": ") : "";
}

async function submit(event) {
  event.preventDefault();
  complain($("problem"), null);
  $("submit").disabled = true;
  try {
    if (!isSpec() && !file) throw new api.Problem({ detail: "Choose an ONNX file first." });
    show(await api.submit(request(), isSpec() ? null : file));
    $("job").scrollIntoView({ behavior: "smooth", block: "nearest" });
    await list();
  } catch (error) {
    complain($("problem"), error);
  } finally {
    $("submit").disabled = false;
  }
}

// ---- the card

function show(job) {
  stop();
  shown = job.id;
  listed = job.status;
  history.replaceState(null, "", `#${job.id}`);
  $("empty").hidden = true;
  $("card").hidden = false;
  $("heatmap").removeAttribute("src");
  update(job);
  stop = ENDED.has(job.status) ? () => {} : api.follow(job, update);
}

function update(job) {
  if (job.id !== shown) return; // an answer that comes after another job was opened
  const ended = ENDED.has(job.status);
  $("name").textContent = job.model.name;
  $("state").textContent = job.cached ? `${job.status}, from the store` : job.status;
  $("state").dataset.state = job.status;
  $("cancel").hidden = ended;
  $("running").hidden = ended;
  $("progress").value = job.progress;
  $("stage").textContent = job.status === "queued" ? "waiting for a worker" : `${job.stage} ${Math.round(100 * job.progress)} %`;
  complain($("error"), job.error);
  $("done").hidden = job.status !== "succeeded" || !job.result;
  if (job.result) fill(job);
  if (job.status !== listed) list();
  listed = job.status;
}

function fill(job) {
  $("metrics").replaceChildren(...rows(job.result).map(row));
  $("npy").href = job.links.map;
  $("json").href = job.links.self;
  $("heatmap").alt = `Heat map of the effective receptive field of ${job.result.layer.name}`;
  $("card").dataset.heatmap = job.links.heatmap;
  draw();
}

function row([label, value, meaning]) {
  const line = document.createElement("tr");
  for (const [tag, text] of [["th", label], ["td", value], ["td", meaning]]) {
    line.append(Object.assign(document.createElement(tag), { textContent: text }));
  }
  line.firstChild.scope = "row";
  return line;
}

function draw() {
  const look = new URLSearchParams();
  if ($("scale").value !== "sqrt") look.set("scale", $("scale").value);
  if ($("colormap").value !== "viridis") look.set("colormap", $("colormap").value);
  const url = $("card").dataset.heatmap + (look.size ? `?${look}` : "");
  if ($("heatmap").getAttribute("src") !== url) $("heatmap").src = url;
  $("png").href = url;
}

// ---- recent jobs, and whether anyone works

async function list() {
  const { jobs } = await api.recent();
  $("recent").replaceChildren(...jobs.map((job) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "entry" });
    const name = Object.assign(document.createElement("span"), { textContent: job.model.name });
    const state = Object.assign(document.createElement("span"), { textContent: job.status, className: "state" });
    state.dataset.state = job.status;
    button.append(name, state);
    button.addEventListener("click", () => open(job.id));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

async function open(id) {
  try {
    show(await api.look(id));
  } catch (error) {
    complain($("problem"), error);
  }
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

$("spec").value = EXAMPLE;
$("form").addEventListener("submit", submit);
for (const radio of $("form").elements.kind) radio.addEventListener("change", showKind);
$("file").addEventListener("change", () => choose($("file").files[0]));
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
$("drop").addEventListener("dragover", () => $("drop").classList.add("over"));
$("drop").addEventListener("dragleave", () => $("drop").classList.remove("over"));
$("drop").addEventListener("drop", (event) => {
  $("drop").classList.remove("over");
  choose(event.dataTransfer.files[0]);
});
$("scale").addEventListener("change", draw);
$("colormap").addEventListener("change", draw);
$("cancel").addEventListener("click", () => api.cancel(shown).then(update, (error) => complain($("problem"), error)));

showKind();
countWorkers();
setInterval(countWorkers, 10_000);
list().catch((error) => complain($("problem"), error));
if (location.hash.length > 1) open(decodeURIComponent(location.hash.slice(1)));
