// A 1-D map as a line: the areas that hold 50, 90 and 99 % of its mass shaded, TRF and centre marked.

import { chart } from "/page/chart.js";
import { massLevels, smoothed } from "/page/field.js";
import { SCALES } from "/page/scales.js";
import { SHARES } from "/page/contours.js";

const SIGMAS = [0, 1, 2, 4, 8, 16];
const FEW = 4;

export function curve({ field, trf, look, colours, width, top, window: [low, high], label, name, barTitle }) {
  const mark = colours.series[1];
  const inside = [...field.values].map((value, i) => [i, value / top]).filter(([i]) => i >= low && i <= high);
  const rules = [];
  if (look.trf && trf?.box) {
    rules.push(
      { at: trf.box[0][0] - 0.5, colour: mark, name: `TRF ${trf.size[0]} px` },
      { at: trf.box[0][1] - 0.5, colour: mark },
    );
  }
  if (look.trf && trf?.center) rules.push({ at: trf.center[0], colour: mark, dash: "2 3", name: "projected centre" });
  const scale = SCALES[look.scale];
  return chart({
    series: [{ points: inside, fill: true, name: "map; shaded: 50, 90, 99 % of its mass" }],
    spans: look.contours ? shaded(field.values, low, high) : [],
    rules,
    x: { low, high, title: `${name} (px)` },
    y: {
      low: 0,
      high: 1,
      place: scale.place,
      ticks: scale.ticks.map(([share]) => share),
      word: (share) => scale.ticks.find(([at]) => at === share)[1],
      title: barTitle,
    },
    colours,
    width,
    height: 340,
    label,
  });
}

// Runs of pixels above each share's level, drawn over one another, so that the innermost is the darkest. A speckled
// map is smoothed until its areas are few.
function shaded(values, low, high) {
  for (const sigma of SIGMAS) {
    const soft = smoothed({ height: 1, width: values.length, values }, sigma).values;
    const levels = massLevels(soft, SHARES);
    if (!levels) return [];
    const spans = levels.map((level) => runs(soft, level, low, high));
    if (spans.every((found) => found.length <= FEW) || sigma === SIGMAS.at(-1)) return spans.flat();
  }
}

function runs(values, level, low, high) {
  const found = [];
  for (let i = Math.max(0, Math.ceil(low)); i <= Math.min(values.length - 1, high); i++) {
    if (values[i] <= level) continue;
    if (found.at(-1)?.to === i - 0.5) found.at(-1).to = i + 0.5;
    else found.push({ from: i - 0.5, to: i + 0.5, opacity: 0.13 });
  }
  return found;
}
