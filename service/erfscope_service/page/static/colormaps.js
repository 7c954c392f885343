// Colour maps fit for colour-blind eyes, by the names of the REST interface. Pure but for a canvas to read colours off.

import * as d3 from "/page/observable-plot.js";
import { h } from "/page/dom.js";

const INTERPOLATORS = {
  viridis: d3.interpolateViridis,
  cividis: d3.interpolateCividis,
  magma: d3.interpolateMagma,
  inferno: d3.interpolateInferno,
  gray: (place) =>
    `rgb(${Array(3)
      .fill(Math.round(255 * place))
      .join()})`,
};

// A colour that none of the map's own comes near: for the TRF box and the centre.
const ACCENTS = { viridis: "#ff7b54", cividis: "#ff7b54", magma: "#5fe0ff", inferno: "#5fe0ff", gray: "#ff9d3c" };

export const NAMES = Object.keys(INTERPOLATORS);
export const accent = (name) => ACCENTS[name];
export const interpolator = (name) => INTERPOLATORS[name];
export const css = (name, place) => INTERPOLATORS[name](Math.min(1, Math.max(0, place)));

// Black or white, whichever is better read on a colour of the map: both are equally far from a luminance of 0.179.
export function readable(name, place) {
  const at = 4 * Math.round(255 * place);
  const [red, green, blue] = [...table(name).subarray(at, at + 3)].map((byte) => (byte / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}

const tables = new Map();

// 256 colours, four bytes each (red, green, blue, opaque).
export function table(name) {
  if (!tables.has(name)) {
    const context = h("canvas", { width: 256, height: 1 }).getContext("2d", { willReadFrequently: true });
    for (let i = 0; i < 256; i++) {
      context.fillStyle = css(name, i / 255);
      context.fillRect(i, 0, 1, 1);
    }
    tables.set(name, context.getImageData(0, 0, 256, 1).data);
  }
  return tables.get(name);
}
