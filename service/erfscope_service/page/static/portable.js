// A figure as a file: SVG that stands alone, and PNG drawn from it; light, as papers want it.

import { caption, inset } from "/page/charts.js";
import { palette } from "/page/palette.js";
import { save, svg } from "/page/dom.js";

const WIDTH = 860; // pixels of a figure, at most
const NARROWEST = 400; // so that titles and captions have room
const DENSE = 2;
const TITLE = { size: 13, x: 14, y: 20, below: 12 }; // pixels

// Figures side by side under their titles, on white: a function that draws them as one SVG.
export function sheet(figures, titles) {
  return () => {
    const colours = palette({ light: true });
    const parts = figures.map(({ drawn }) => fitted(drawn, WIDTH / Math.min(2, figures.length), colours));
    const widths = parts.map((part) => extent(part, "width"));
    const heads = titles.map((title, i) => caption(title, widths[i] - 2 * TITLE.x, TITLE.size));
    const above = TITLE.below + Math.max(...heads.map(({ height }) => height)) + TITLE.size / 2;
    const width = widths.reduce((sum, one) => sum + one, 0);
    const height = above + Math.max(...parts.map((part) => extent(part, "height")));
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
    root.append(svg("rect", { width: "100%", height: "100%", fill: "#ffffff" }));
    parts.forEach((part, i) => {
      const left = widths.slice(0, i).reduce((sum, one) => sum + one, 0);
      heads[i].draw(root, left + TITLE.x, TITLE.y, { muted: colours.ink });
      inset(root, part, left, above);
    });
    return root;
  };
}

const extent = (part, name) => Number(part.getAttribute(name));

// A figure as wide as it needs to be.
function fitted(drawn, width, colours) {
  const first = drawn({ width, colours });
  const needed = Math.max(NARROWEST, first.wide ?? width);
  return needed < width ? drawn({ width: needed, colours }).svg : first.svg;
}

export function saveSvg(drawn, name) {
  save(new XMLSerializer().serializeToString(drawn()), `${name}.svg`, "image/svg+xml");
}

export async function savePng(drawn, name) {
  const root = drawn();
  const [, , width, height] = root.getAttribute("viewBox").split(" ").map(Number);
  const picture = new Image();
  const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(root)], { type: "image/svg+xml" }));
  await new Promise((resolve, reject) => Object.assign(picture, { onload: resolve, onerror: reject, src: url }));
  const canvas = Object.assign(document.createElement("canvas"), { width: width * DENSE, height: height * DENSE });
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(url);
  save(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), `${name}.png`);
}
