// A figure as a file: SVG that stands alone, and PNG drawn from it; light, as papers want it.

import { inset } from "/page/charts.js";
import { FONT, palette } from "/page/palette.js";
import { save, svg } from "/page/dom.js";

const WIDTH = 860;
const DENSE = 2;
const TITLE = 26; // pixels above a figure of a row

// The SVG of what `drawn` draws, on white.
function standalone(drawn) {
  const { svg: root } = drawn({ width: WIDTH, colours: palette({ light: true }) });
  root.prepend(svg("rect", { width: "100%", height: "100%", fill: "#ffffff" }));
  return root;
}

// Figures side by side under their titles, as one that can be saved.
export function row(figures, titles) {
  return ({ colours }) => {
    const parts = figures.map(({ drawn }) => drawn({ width: WIDTH / 2, colours }).svg);
    const height = TITLE + Math.max(...parts.map((part) => Number(part.getAttribute("height"))));
    const width = (WIDTH / 2) * parts.length;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
    parts.forEach((part, i) => {
      const words = { "x": (WIDTH / 2) * i + 42, "y": 18, "fill": colours.ink, "font-size": 13, "font-family": FONT };
      root.append(svg("text", words, titles[i]));
      inset(root, part, (WIDTH / 2) * i, TITLE);
    });
    return { svg: root };
  };
}

export function saveSvg(drawn, name) {
  save(new XMLSerializer().serializeToString(standalone(drawn)), `${name}.svg`, "image/svg+xml");
}

export async function savePng(drawn, name) {
  const root = standalone(drawn);
  const [, , width, height] = root.getAttribute("viewBox").split(" ").map(Number);
  const picture = new Image();
  const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(root)], { type: "image/svg+xml" }));
  await new Promise((resolve, reject) => Object.assign(picture, { onload: resolve, onerror: reject, src: url }));
  const canvas = Object.assign(document.createElement("canvas"), { width: width * DENSE, height: height * DENSE });
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(url);
  save(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), `${name}.png`);
}
