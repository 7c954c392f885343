// What tells measurements apart, in words: the model, and everything that was asked differently. Pure.

import { by, clock, counted, unitName } from "/page/format.js";

// [what was asked, the words for it]; two jobs differ by a row where both are different.
const ASKED = [
  [({ input }) => input.shape, ({ result }) => `input ${by(result.input_shape)}`],
  [({ input }) => input.name, ({ result, request }) => `input ${result.input?.name ?? request.input.name ?? "auto"}`],
  [({ target }) => target.layer, ({ result }) => `layer ${result.layer.name}`],
  [({ target }) => target.unit, ({ result }) => `unit ${unitName(result.unit)}`],
  [({ target }) => target.channels, ({ request }) => `channels ${[request.target.channels].flat().join(", ")}`],
  [({ input }) => [input.source, input.images], ({ request }) => `samples: ${sourceWords(request.input)}`],
  [({ average }) => average.inputs, ({ request }) => counted(request.average.inputs, "sample")],
  [({ average }) => average.weights, ({ request }) => counted(request.average.weights, "draw")],
  [({ average }) => average.statistic, ({ request }) => `statistic ${request.average.statistic}`],
  [({ average }) => average.seed, ({ request }) => `seed ${request.average.seed}`],
  [({ weights }) => weights, ({ request }) => `weights ${request.weights === "given" ? "as given" : request.weights}`],
  [({ dtype }) => dtype, ({ request }) => request.dtype],
  [({ method }) => method, ({ request }) => `method ${request.method}`],
  [({ protocol }) => protocol, ({ request }) => `protocol ${request.protocol}`],
];
// What differs without having been asked differently: specs of one name, and the same question asked twice.
const FOUND = [
  ({ result }) => `input ${by(result.input_shape)}`,
  ({ result }) => `layer ${result.layer.name}`,
  ({ result }) => `TRF ${by(result.trf.size)}`,
  ({ created_at: at }) => clock(at),
];

const sourceWords = ({ source, images }) =>
  source === "images" ? `images ${images.slice(0, 6)}` : /form|mal/.test(source) ? `${source} noise` : source;

// { model, names }: a name for each job, which is its model and what differs, until no two are alike. A model that is
// the same for all is named once.
export function distinct(jobs) {
  const differs = (values) => new Set(values.map((value) => JSON.stringify(value ?? null))).size > 1;
  const asked = ASKED.filter(([ask]) => differs(jobs.map(({ request }) => ask(request)))).map(([, words]) => words);
  const models = jobs.map(({ model }) => model.name);
  const isOne = !differs(models);
  let names = isOne ? models.map(() => "") : models;
  const add = (tell) => {
    const words = jobs.map(tell);
    if (differs(words)) names = names.map((name, i) => [name, words[i]].filter(Boolean).join(" · "));
  };
  asked.forEach(add);
  for (const tell of FOUND) if (new Set(names).size < jobs.length) add(tell);
  return { model: isOne ? models[0] : "", names: names.map((name, i) => name || `${models[i]} ${i + 1}`) };
}
