// A question about a network (tiles, fit, advice): what the small forms send, a job of it with its state and answer.

import { advice } from "/page/advice.js";
import * as api from "/page/api.js";
import { $, announce, button, h } from "/page/dom.js";
import { ENDED } from "/page/events.js";
import { clock, duration } from "/page/format.js";
import { fit } from "/page/fit.js";
import { patiently } from "/page/patience.js";
import { complain } from "/page/problem.js";
import { numbers } from "/page/request.js";
import { cut } from "/page/tiles.js";

const PAUSE = 500; // milliseconds between looks, where the service does not hold them
const KINDS = {
  tiles: { title: "Tiles", answer: cut, asked: ({ tile }) => `tiles of ${[tile].flat().join(" × ")} px` },
  fit: { title: "Object sizes", answer: fit, asked: ({ objects }) => `objects of ${objects.join(", ")} px` },
  advice: {
    title: "Advice",
    answer: advice,
    asked: ({ object_size: size, want }) => (size ? `objects of ${size} px` : `an ERF of ${want} px`),
  },
};
const STAGES = {
  load: "reading the model",
  trace: "following its graph",
  measure: "measuring",
  verify: "measuring and checking",
  profile: "measuring along the depth",
  search: "trying changes",
};

// `network` gives model, input, layers and weights of the form above; `submitted` gets (kind, job).
export function setUp(network, submitted) {
  const send =
    (kind, fields, about = network) =>
    async (event) => {
      event.preventDefault();
      complain($("question-problem"), null);
      try {
        submitted(kind, await api.ask(`/${kind}`, { ...about(), ...fields() }));
      } catch (error) {
        complain($("question-problem"), error);
      }
    };
  $("tiles-form").addEventListener(
    "submit",
    send("tiles", () => ({ tile: sides(numbers($("tile").value)) })),
  );
  $("fit-form").addEventListener(
    "submit",
    send("fit", () => ({ objects: numbers($("objects").value) })),
  );
  $("advice-form").addEventListener(
    "submit",
    send(
      "advice",
      () => ({ object_size: numbers($("object-size").value)[0] }),
      () => one(network()),
    ),
  );
}

// Advice is about one layer, where the other questions take several.
function one({ layers, ...network }) {
  return { ...network, ...(layers ? { layer: layers[0] } : {}) };
}

const sides = (values) => (values.length === 1 ? values[0] : values);

export const lookAt = (kind, id, options) => api.json(`/${kind}/${encodeURIComponent(id)}`, options);
export const isKind = (kind) => kind in KINDS;

// Shows a job of a kind in `host` and looks at it until it has ended; returns what stops that.
export function showQuestion(host, kind, job) {
  const { title, answer, asked } = KINDS[kind];
  const stop = new AbortController();
  const path = job.links.self;
  const state = h("span", { className: "state" });
  const cancel = button("Cancel", () => api.json(path, { method: "DELETE" }).then(update, fail));
  const bar = h("progress", { max: 1, aria: { label: "Progress" } });
  const stage = h("p", { className: "muted tabular" });
  const running = h("div", { className: "running" }, bar, stage);
  const problem = h("div", { className: "problem", aria: { role: "alert" }, hidden: true });
  const subtitle = h("p", { className: "muted" });
  const body = h("div");
  const name = h("h2", { textContent: `${title}: ${job.model.name}`, tabIndex: -1 });
  const head = h(
    "div",
    { className: "title" },
    h("div", {}, name, subtitle),
    h("div", { className: "toolbar" }, state, cancel),
  );
  const label = `${title} of ${job.model.name}`;
  host.replaceChildren(h("article", { className: "card", aria: { label } }, head, running, problem, body));

  let status = null;
  function update(now) {
    const took = now.timing?.seconds ? ` · took ${duration(now.timing.seconds)}` : "";
    subtitle.textContent = `${asked(now.request)} · ${clock(now.created_at)}${took}`;
    state.textContent = now.cached ? `${now.status}, from the store` : now.status;
    state.dataset.state = now.status;
    cancel.hidden = running.hidden = ENDED.has(now.status);
    bar.value = now.progress;
    stage.textContent =
      now.status === "queued"
        ? "waiting for a worker"
        : `${STAGES[now.stage] ?? now.stage}, ${Math.round(100 * now.progress)} %`;
    if (now.status === status) return;
    status = now.status;
    announce(`${job.model.name}: ${now.status}`);
    if (now.error) complain(problem, now.error);
    if (now.status === "canceled")
      body.replaceChildren(h("p", { className: "muted", textContent: "Canceled before it was finished." }));
    if (now.result) body.replaceChildren(answer(now.result));
  }
  const fail = (error) => stop.signal.aborted || complain(problem, error);

  update(job);
  if (!ENDED.has(job.status)) follow(path, update, stop.signal).catch(fail);
  return () => stop.abort();
}

async function follow(path, update, signal) {
  for (;;) {
    const now = await patiently(() => api.json(path, { headers: { Prefer: "wait=1" }, signal }), signal);
    if (signal.aborted) return;
    update(now);
    if (ENDED.has(now.status)) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}
