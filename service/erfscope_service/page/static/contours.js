// Lines around the smallest areas that hold 50, 90 and 99 % of a plane's mass. Pure.

import { blur2, contours } from "/page/observable-plot.js";
import { massLevels } from "/page/field.js";

export const SHARES = [0.5, 0.9, 0.99];
const BLURS = [0, 1, 2, 3, 5, 8]; // pixels, tried in turn until the lines show shape instead of speckle
const RAGGED = 1.15; // all lines this many times longer than the boxes around the largest few show noise
const FEW = 4;
const SCATTERED = 8; // lines of one share

// { blur, lines: [[share, [[[x, y], …] …]] …], isScattered } in pixel-centre coordinates of the plane; null without
// mass. Lines are scattered where the map has gaps that no smoothing of this size closes: one around each pixel.
export function traced(plane) {
  const limit = sideOfMass(plane) / 16;
  let answer = null;
  for (const blur of BLURS.filter((radius) => radius <= limit)) {
    const soft = smoothed(plane, blur);
    const levels = massLevels(soft.values, SHARES, plane.values);
    if (!levels) return null;
    const lines = levels.map((level) => rings(soft, level));
    const isScattered = lines.some((some) => some.length > SCATTERED && isRagged(some));
    answer = { blur, lines: SHARES.map((share, i) => [share, lines[i]]), isScattered };
    if (!lines.some(isRagged)) break;
  }
  return answer;
}

// The lines inside of a TRF box of the plane: no mass is beyond it, but smoothing would step over it.
export function within(lines, box) {
  if (!box) return lines;
  const [rows, columns] = box;
  const clamp = (value, [start, stop]) => Math.min(stop - 0.5, Math.max(start - 0.5, value));
  const clipped = (ring) => ring.map(([x, y]) => [clamp(x, columns), clamp(y, rows)]);
  return lines.map(([share, rings]) => [share, rings.map(clipped)]);
}

// Side of the square with as many pixels as hold 99 % of the mass: a small field is not smoothed away.
function sideOfMass({ values }) {
  const level = massLevels(values, [0.99])?.[0] ?? 0;
  return Math.sqrt(values.reduce((count, value) => count + (value > level), 0));
}

export function smoothed({ height, width, values }, radius) {
  if (!radius) return { height, width, values };
  return { height, width, values: blur2({ data: Float64Array.from(values), width, height }, radius).data };
}

// Closed lines between the pixels above and not above a level; the outside of the plane is below every level.
export function rings({ height, width, values }, level) {
  const { coordinates } = contours().size([width, height]).contour(values, level);
  return coordinates.flat().map((ring) => ring.map(([x, y]) => [x - 0.5, y - 0.5]));
}

function isRagged(lines) {
  const largest = lines.map(outline).sort((a, b) => b - a);
  return sum(lines.map(lengthOf)) > RAGGED * sum(largest.slice(0, FEW));
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
const lengthOf = (line) => sum(line.slice(1).map(([x, y], i) => Math.hypot(x - line[i][0], y - line[i][1])));

// Around the box that a line fills.
function outline(line) {
  const side = (axis) => {
    const places = line.map((point) => point[axis]);
    return places.reduce((a, b) => Math.max(a, b)) - places.reduce((a, b) => Math.min(a, b));
  };
  return 2 * (side(0) + side(1));
}
