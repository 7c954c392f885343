// A question about a network (tiles, fit, advice): what the small forms send, a job of it with its state and answer.

import { advice } from "/page/advice.js";
import * as api from "/page/api.js";
import { card } from "/page/card.js";
import { $ } from "/page/dom.js";
import { ENDED } from "/page/events.js";
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
  cost: "pricing changes",
};

// "measuring and checking 2 of 5": the stage, and how many of its parts are begun where they are counted.
function stageWords(stage) {
  const [name, ...counts] = stage.split(" ");
  return [STAGES[name] ?? name, ...counts].join(" ");
}

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
        $("question-problem").scrollIntoView({ block: "nearest" });
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
export const titleOf = (kind) => KINDS[kind].title;

// Shows a job of a kind in `host` and looks at it until it has ended (`changed` hears that); returns what stops that.
export function showQuestion(host, kind, job, changed) {
  const { title, answer, asked } = KINDS[kind];
  return shown(host, job, changed, {
    title: `${title}: ${job.model.name}`,
    label: `${title} of ${job.model.name}`,
    words: ({ request }) => asked(request),
    stage: ({ stage, progress }) => `${stageWords(stage)}, ${Math.round(100 * progress)} %`,
    content: (now, isNew) => (isNew && now.result ? answer(now.result) : null),
  });
}

// The card of a job or a series, which is looked at until it has ended; returns what stops that.
export function shown(host, work, changed, words) {
  const stop = new AbortController();
  const { update, fail } = card(host, work, words);
  const hear = (now) => {
    update(now);
    if (ENDED.has(now.status)) changed();
  };
  if (!ENDED.has(work.status))
    follow(work.links.self, hear, stop.signal).catch((error) => stop.signal.aborted || fail(error));
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
