// A question about a network (tiles, fit, advice): what the small forms send, a job of it with its state and answer.

import { advice } from "/page/advice.js";
import * as api from "/page/api.js";
import { card } from "/page/card.js";
import { $ } from "/page/dom.js";
import { ENDED } from "/page/events.js";
import { lengthUnit } from "/page/format.js";
import { fit } from "/page/fit.js";
import { patiently } from "/page/patience.js";
import { forgive, refuse } from "/page/problem.js";
import { someNumbers } from "/page/request.js";
import { cut } from "/page/tiles.js";

const PAUSE = 500; // milliseconds between looks, where the service does not hold them
const KINDS = {
  tiles: { title: "Tiles", answer: cut, asked: ({ tile }) => [tile].flat().join(" × ") },
  fit: { title: "Object sizes", answer: fit, asked: ({ objects }) => objects.join(", ") },
  advice: {
    title: "Advice",
    answer: advice,
    asked: ({ object_size: size, want }) => (size ? `objects of ${size}` : `an ERF of ${want}`),
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

let pass = () => {}; // gets (kind, job) of what was asked
let load = () => {}; // puts a spec into the form

// `network` gives model, input, layers and weights of the form above, `loadSpec` puts a spec into it; `submitted` gets
// (kind, job).
export function setUp(network, loadSpec, submitted) {
  pass = submitted;
  load = loadSpec;
  const send =
    (kind, fields, about = network) =>
    async (event) => {
      event.preventDefault();
      forgive();
      try {
        submitted(kind, await api.ask(`/${kind}`, { ...about(), ...fields() }));
      } catch (error) {
        refuse($("question-problem"), error);
      }
    };
  $("tiles-form").addEventListener(
    "submit",
    send("tiles", () => ({ tile: sides(someNumbers("tile", "/tile")) })),
  );
  $("fit-form").addEventListener(
    "submit",
    send("fit", () => ({ objects: someNumbers("objects", "/objects") })),
  );
  $("advice-form").addEventListener(
    "submit",
    send(
      "advice",
      () => ({ object_size: someNumbers("object-size", "/object_size")[0] }),
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

// "512 samples · layer relu_3": what a job of a kind asks, in the unit of its input where that is known.
export function askedWords(kind, { request, result }) {
  const { layers, layer, model } = request;
  const axes = result?.input_shape?.length - 1 || model.architecture?.input?.size.length || result?.tile?.length;
  const names = [layers ?? layer ?? []].flat().filter((name) => name !== "auto");
  const words = KINDS[kind].asked(request);
  const one = names.length === 1 ? "layer" : "layers";
  return [axes ? `${words} ${lengthUnit(axes)}` : words, names.length && `${one} ${names.join(", ")}`]
    .filter(Boolean)
    .join(" · ");
}

// Shows a job of a kind in `host` and looks at it until it has ended (`changed` hears that); returns what stops that.
export function showQuestion(host, kind, job, changed) {
  const { title, answer } = KINDS[kind];
  return shown(host, job, changed, {
    title: `${title}: ${job.model.name}`,
    label: `${title} of ${job.model.name}`,
    words: (now) => askedWords(kind, now),
    stage: ({ stage, progress }) => `${stageWords(stage)}, ${Math.round(100 * progress)} %`,
    content: (now, isNew) =>
      isNew && now.result ? answer(now.result, { ...limitsOf(kind, now.request), load }) : null,
  });
}

// The layers that a question was limited to, and what asks it again without them.
function limitsOf(kind, { layers, ...rest }) {
  const askAll = async () => {
    forgive();
    try {
      pass(kind, await api.ask(`/${kind}`, rest));
    } catch (error) {
      refuse($("question-problem"), error);
    }
  };
  return { layers, askAll };
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
