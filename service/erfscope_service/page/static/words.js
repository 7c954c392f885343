// What the service calls things: the labels of metrics, and what the marks of numbers mean.

import * as api from "/page/api.js";
import { h } from "/page/dom.js";

let asked = null;
const words = () => (asked ??= api.words());

// A function from a flat name to its label: "mass_50_side" to "side of the box with 50 % of the mass".
export async function labels() {
  const { metrics } = await words();
  return (name) => {
    if (metrics[name]) return metrics[name];
    const [part] = name.match(/\d+|(?<=_)[xyz]$/) ?? [""];
    return metrics[name.replace(part, "{}")]?.replace("{}", part) ?? name;
  };
}

// The metrics of a job that have a value, without the TRF without statistics where that is the TRF.
export function telling(rows) {
  const trf = rows.find(({ name }) => name === "trf_size")?.value;
  return rows.filter(({ name, value }) => value !== null && (name !== "trf_size_local" || value !== trf));
}

// What the marks in these texts mean, a sentence each; filled once the service has answered.
export function legend(texts) {
  const host = h("p", { className: "hint marks" });
  const isUsed = ([mark]) => texts.some((text) => text.includes(mark));
  words().then(
    ({ marks }) => {
      const used = Object.entries(marks).filter(isUsed);
      host.textContent = used.map(([mark, meaning]) => `${mark} ${meaning}.`).join(" ");
    },
    () => {}, // the table is readable without it
  );
  return host;
}
