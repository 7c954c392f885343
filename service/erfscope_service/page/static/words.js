// What the service calls things: the labels of metrics, a glossary, and what the marks of numbers mean.

import * as api from "/page/api.js";
import { h } from "/page/dom.js";
import { capital, typeset } from "/page/format.js";

let known = { metrics: {}, terms: {}, marks: {} };
let names = /$^/; // flat names of metrics in a text
let asked = null;

// Asks once; the pages can be read without an answer, and the next call asks again.
export async function load() {
  asked ??= api.words();
  try {
    known = await asked;
    names = namesOf(Object.keys(known.metrics));
  } catch {
    asked = null;
  }
}

// "mass_50_side" as "side of the box with 50 % of the mass".
export function label(name) {
  const { metrics } = known;
  if (metrics[name]) return typeset(metrics[name]);
  const [part] = name.match(/\d+|(?<=_)[xyz]$/) ?? [""];
  return typeset(metrics[name.replace(part, "{}")]?.replace("{}", part) ?? name);
}

// A text with the labels of the metrics that it names, as the tables have them.
export const named = (text) =>
  text.replace(names, (_, name, quoted) => `“${capital(label(name ?? quoted))}”`);

// A name of one word could be a word of the sentence, unless it is quoted.
function namesOf(flat) {
  const written = (name) => name.replace(/_\{\}/, "_(?:[xyz]|\\d+)").replace("{}", "(?:50|90|99)");
  const certain = flat.filter((name) => /[_\d{]/.test(name)).map(written);
  return new RegExp(`(?<![\\w./'"])\`?(?:(${certain.join("|")})\\b\`?|(?<=\`)(${flat.map(written).join("|")})\`)`, "g");
}

// [[term, what it means] …].
export const terms = () => Object.entries(known.terms);

// The metrics of a job that have a value, without the TRF without statistics where that is the TRF.
export function telling(rows) {
  const trf = rows.find(({ name }) => name === "trf_size")?.value;
  return rows.filter(({ name, value }) => value !== null && (name !== "trf_size_local" || value !== trf));
}

// What the marks in these texts mean, a sentence each.
export function legend(texts) {
  const used = Object.entries(known.marks).filter(([mark]) => texts.some((text) => text.includes(mark)));
  return h("p", { className: "hint marks", textContent: used.map((words) => `${words.join(" ")}.`).join(" ") });
}
