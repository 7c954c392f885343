// A figure as a file: SVG that stands alone, and PNG drawn from it; light, as papers want it.

import { palette } from "/page/axes.js";
import { save, svg } from "/page/dom.js";

const WIDTH = 860;
const DENSE = 2;

// The SVG of what `drawn` draws, with its canvas as an image inside.
function standalone(drawn) {
  const { svg: root, canvas, plot } = drawn({ width: WIDTH, colours: palette({ light: true }) });
  const back = [svg("rect", { width: "100%", height: "100%", fill: "#ffffff" })];
  if (canvas)
    back.push(
      svg("image", { href: canvas.toDataURL("image/png"), x: plot.x, y: plot.y, width: plot.w, height: plot.h }),
    );
  root.prepend(...back);
  return root;
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
