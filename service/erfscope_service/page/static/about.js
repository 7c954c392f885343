// What an answer to a question was measured on, in a sentence, and why other answers may have other numbers. Pure.

import { by, counted } from "/page/format.js";

const FILE = 64; // digits of a file's name, its sha256
const OTHERS =
  "Measure, Fit and Advise take samples of their own: their ERFs of one layer differ within ±, and by more where " +
  "weights or input differ.";

const sourceWords = (source) => (/form|mal/.test(source) ? `${source} noise` : source);

// Nothing of an older service, which does not tell.
export function aboutWords({ about, input_shape: shape }, { compares = true } = {}) {
  if (!about) return "";
  const { inputs, draws, weights, seed, source, model } = about;
  const own = model.length === FILE ? "the file's own" : "by the spec's scheme";
  const count = inputs === null ? "nothing was measured" : `${counted(inputs, "input")} of ${sourceWords(source)}`;
  const samples = draws > 1 ? `${draws} draws of the weights × ${count}` : count;
  const facts = [`samples: ${samples}`, `weights: ${weights === "given" ? own : weights}`, `seed ${seed}`];
  return `${["At input " + by(shape), ...facts].join("; ")}. ${compares ? OTHERS : ""}`.trim();
}
