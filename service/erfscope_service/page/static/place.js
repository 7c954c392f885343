// Where the unit sits and what it reads, which layer was taken, and what autograd ran: facts beside the metrics. Pure.

import { by, inUnit, lengthUnit, number, unitName } from "/page/format.js";

const MOST = 3; // names in a sentence

// "a, b, c and 4 more".
export function named(names) {
  return names.slice(0, MOST).join(", ") + (names.length > MOST ? ` and ${names.length - MOST} more` : "");
}

const boxWords = (box) => {
  const along = box.map(([start, stop]) => `${number(start)} … ${number(stop)}`).join(", ");
  return `${along} ${lengthUnit(box.length)}, ends excluded`;
};
const sides = (box) => by(box.map(([start, stop]) => stop - start));

// "20 × 20 px without the statistics of norm_1", for a field that is global through statistics only; else nothing.
export function localWords({ local_box: box, local_without: operators }) {
  return box ? `${inUnit(sides(box), lengthUnit(box.length))} without the statistics of ${named(operators)}` : "";
}

// The sentence about a field that is global.
export function globalWords(trf) {
  const through = trf.widened_by.length ? `, through ${named(trf.widened_by)}` : "";
  const local = trf.local_box ? `; it sees ${localWords(trf)}` : "";
  return `The unit sees the whole input${through}${local}.`;
}

// [[name, words] …] of the field; what says nothing is left out.
export function fieldFacts({ unit, trf }) {
  const stride = trf.stride.map((one) => (one === null ? "varies" : number(one))).join(" × ");
  const length = lengthUnit(trf.size.length);
  const isSeenElsewhere = trf.seen && String(trf.seen) !== String(trf.box);
  return [
    ["unit", unitName(unit)],
    ["projected centre", inUnit(trf.center.map((one) => number(one)).join(", "), length)],
    ["theoretical box", boxWords(trf.box)],
    ["read on this image", isSeenElsewhere ? boxWords(trf.seen) : ""],
    ["stride", trf.stride.some(Boolean) ? inUnit(stride, length) : ""],
    ["tiles start at multiples of", trf.alignment ? inUnit(by(trf.alignment), length) : ""],
    ["units of this layer read before their centre, at most", trf.reach ? inUnit(by(trf.reach.before), length) : ""],
    ["units of this layer read after their centre, at most", trf.reach ? inUnit(by(trf.reach.after), length) : ""],
    ["causal", trf.causal ? "the unit reads nothing behind its own place" : ""],
    ["local field", localWords(trf)],
  ].filter(([, words]) => words);
}

// [[tensor, why] …] that auto passed over, nearest to the output first.
export const passedOver = ({ layer }) => (layer.passed_over ?? []).map(({ name, why }) => [name, why]);

// [[operator, why] …] that autograd ran on whole tensors.
export const byAutograd = ({ provenance }) => (provenance.autograd ?? []).map(({ operator, why }) => [operator, why]);
