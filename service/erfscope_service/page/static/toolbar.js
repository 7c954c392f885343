// The controls of how maps are looked at.

import { NAMES } from "/page/colormaps.js";
import { choice, h, tick } from "/page/dom.js";
import { overlayControls } from "/page/overlay.js";
import { SCALES } from "/page/scales.js";
import { look, set } from "/page/state.js";
import { VIEWS } from "/page/window.js";

const SWITCHES = [
  ["contours", "50 / 90 / 99 % contours"],
  ["trf", "TRF box and centre"],
  ["marginals", "Marginals"],
];

export function toolbar({ rank, complain }) {
  const scales = Object.entries(SCALES).map(([name, { label }]) => [name, label]);
  const bar = h("div", { className: "toolbar", aria: { role: "group", label: "How the map is drawn" } });
  bar.append(choice("Scale", scales, look.scale, (scale) => set({ scale })));
  if (rank > 1) bar.append(choice("Colours", NAMES, look.colormap, (colormap) => set({ colormap })));
  bar.append(choice("Show", VIEWS, look.view, (view) => set({ view })));
  for (const [name, label] of SWITCHES) {
    if (rank > 1 || name !== "marginals") bar.append(tick(label, look[name], (on) => set({ [name]: on })));
  }
  if (rank === 2) bar.append(...overlayControls(complain));
  return bar;
}
