// A chart on the page: as wide as its place, drawn anew with the theme.

import { palette } from "/page/axes.js";
import { chart } from "/page/chart.js";
import { h } from "/page/dom.js";
import { whileShown } from "/page/state.js";

// `options` is called with the palette and answers what chart() takes, but width and colours.
export function plot(options) {
  const root = h("div", { className: "plot" });
  let width = 0;
  function redraw() {
    if (width < 50) return;
    const colours = palette();
    root.replaceChildren(chart({ ...options(colours), colours, width }).svg);
  }
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    redraw();
  }).observe(root);
  whileShown(root, redraw);
  return root;
}
