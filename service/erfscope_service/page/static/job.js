// One job: its name and state, progress while it runs, its failure, or its result.

import * as api from "/page/api.js";
import { announce, button, h } from "/page/dom.js";
import { estimator } from "/page/estimate.js";
import { ENDED, follow } from "/page/events.js";
import { clock, duration, targetWords, unitName } from "/page/format.js";
import { complain } from "/page/problem.js";
import { result } from "/page/result.js";

const STAGES = { load: "reading the model", trace: "following its graph", measure: "measuring", render: "drawing" };

// Shows a job in `host` and follows it; returns what stops that. `actions`: { reuse, changed }.
export function showJob(host, job, actions) {
  const title = h("h2", { textContent: job.model.name, tabIndex: -1 });
  const subtitle = h("p", { className: "muted" });
  const state = h("span", { className: "state" });
  const cancel = button("Cancel", () => api.cancel(job.id).then(update, fail));
  const again = button("Edit and repeat", () => actions.reuse(job).catch(fail));
  const copy = button("Copy link", () => copyLink(copy));
  const bar = h("progress", { max: 1, aria: { label: "Progress" } });
  const stage = h("p", { className: "muted tabular" });
  const running = h("div", { className: "running" }, bar, stage);
  const problem = h("div", { className: "problem", aria: { role: "alert" }, hidden: true });
  const body = h("div");
  const head = h(
    "div",
    { className: "title" },
    h("div", {}, title, subtitle),
    h("div", { className: "toolbar" }, state, cancel, copy, again),
  );
  host.replaceChildren(
    h(
      "article",
      { className: "card", aria: { label: `Measurement of ${job.model.name}` } },
      head,
      running,
      problem,
      body,
    ),
  );

  const estimate = estimator();
  let status = null;
  function update(now) {
    const ended = ENDED.has(now.status);
    subtitle.textContent = words(now);
    state.textContent = now.cached ? `${now.status}, from the store` : now.status;
    state.dataset.state = now.status;
    cancel.hidden = running.hidden = ended;
    bar.value = now.progress;
    stage.textContent = [progressWords(now), estimate(now)].filter(Boolean).join(", ");
    if (now.status === status) return;
    if (status) actions.changed();
    status = now.status;
    announce(`${now.model.name}: ${now.status}`);
    if (now.error) complain(problem, { ...now.error });
    if (now.status === "canceled")
      body.replaceChildren(h("p", { className: "muted", textContent: "Canceled before it was finished." }));
    if (now.result) body.replaceChildren(result(now));
  }
  const fail = (error) => complain(problem, error);

  update(job);
  return ENDED.has(job.status) ? () => {} : follow(job, update, fail);
}

function words({ request, result: found, created_at: created, timing }) {
  const where = found
    ? `${found.layer.name} · unit ${unitName(found.unit)} · input ${found.input_shape.join(" × ")}`
    : targetWords(request.target);
  const took = timing?.seconds ? ` · took ${duration(timing.seconds)}` : "";
  return `${where} · ${clock(created)}${took}`;
}

function progressWords({ status, stage, progress, attempt }) {
  if (status === "queued") return "waiting for a worker";
  return `${STAGES[stage] ?? stage}, ${Math.round(100 * progress)} %${attempt > 1 ? `, attempt ${attempt}` : ""}`;
}

async function copyLink(made) {
  await navigator.clipboard.writeText(location.href).then(
    () => (made.textContent = "Copied"),
    () => (made.textContent = "Copy the address bar"),
  );
  setTimeout(() => (made.textContent = "Copy link"), 2000);
}
