// A 1-D map as a line: the areas that hold 50, 90 and 99 % of its mass shaded, TRF and centre marked.

import * as Plot from "/page/observable-plot.js";
import { caption, drawn } from "/page/charts.js";
import { SHARES, smoothed } from "/page/contours.js";
import { massLevels } from "/page/field.js";
import { inUnit, lengthUnit, number } from "/page/format.js";
import { SCALES } from "/page/scales.js";
import { boxWords } from "/page/window.js";

const BLURS = [0, 1, 2, 4, 8, 16]; // pixels, tried in turn until the areas are few
const FEW = 4;
const PLOT = 300; // pixels
const SIDES = { marginLeft: 48, marginTop: 22, marginRight: 14 };

export function curve({ field, trf, look, colours, width, top, window: [low, high], label, name, barTitle }) {
  const mark = colours.series[1];
  const points = [...field.values].map((value, i) => [i, value / top]).filter(([i]) => i >= low && i <= high);
  const words = caption(wordsOf(look, trf, [low, high]), width - SIDES.marginLeft);
  const base = SCALES[look.scale].scale.domain[0];
  const root = drawn({
    ...{ colours, label, width, height: PLOT + 52 + words.height, ...SIDES, marginBottom: 52 + words.height },
    x: {
      ...{ domain: [low, high], label: `${name} (samples)`, labelAnchor: "center", labelArrow: "none" },
      ...{ labelOffset: 32, tickFormat: (value) => number(value) },
    },
    y: { ...SCALES[look.scale].scale, clamp: true, label: barTitle, labelArrow: "none", grid: true },
    marks: [
      ...(look.contours ? [shading(field.values, colours)] : []),
      Plot.areaY(points, { x: "0", y1: base, y2: "1", fill: colours.series[0], fillOpacity: 0.25, clip: true }),
      Plot.line(points, { stroke: colours.series[0], strokeWidth: 1.8, clip: true }),
      ...(look.trf && trf?.box
        ? [Plot.ruleX(trf.box[0], { x: (at) => at - 0.5, stroke: mark, strokeDasharray: "9 5", clip: true })]
        : []),
      ...(look.trf && trf?.center
        ? [Plot.ruleX([trf.center[0]], { stroke: mark, strokeDasharray: "2 3", clip: true })]
        : []),
    ],
  });
  words.draw(root, SIDES.marginLeft, PLOT + 56, colours);
  const across = root.scale("x");
  return {
    svg: root,
    across: across.apply,
    at: across.invert,
    plot: { y: SIDES.marginTop, h: PLOT - SIDES.marginTop },
  };
}

function wordsOf(look, trf, range) {
  const areas = look.contours ? "Shaded: the smallest areas with 50, 90 and 99 % of the mass. " : "";
  const box = look.trf && trf?.box ? boxWords(trf, [range], "Dashed", inUnit(number(trf.size[0]), lengthUnit(1))) : "";
  return areas + box + (look.trf && trf?.center ? "Dotted: projected centre." : "");
}

// Runs of pixels above each share's level, drawn over one another, so that the innermost is the darkest.
function shading(values, colours) {
  const spans = shaded(values);
  return Plot.rect(spans, { x1: "from", x2: "to", fill: colours.series[0], fillOpacity: 0.13, clip: true });
}

// A speckled map is smoothed until its areas are few.
function shaded(values) {
  for (const blur of BLURS) {
    const soft = smoothed({ height: 1, width: values.length, values }, blur).values;
    const levels = massLevels(soft, SHARES, values);
    if (!levels) return [];
    const spans = levels.map((level) => runs(soft, level));
    if (spans.every((some) => some.length <= FEW) || blur === BLURS.at(-1)) return spans.flat();
  }
}

function runs(values, level) {
  const spans = [];
  values.forEach((value, i) => {
    if (value <= level) return;
    if (spans.at(-1)?.to === i - 0.5) spans.at(-1).to = i + 0.5;
    else spans.push({ from: i - 0.5, to: i + 0.5 });
  });
  return spans;
}
