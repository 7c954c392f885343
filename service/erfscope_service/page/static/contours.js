// Lines around the smallest areas that hold 50, 90 and 99 % of a plane's mass: marching squares. Pure.

import { blockMean, massLevels, smoothed } from "/page/field.js";

export const SHARES = [0.5, 0.9, 0.99];
const SIGMAS = [0, 1, 2, 3, 5, 8]; // tried in turn until the lines show shape instead of speckle
const BUDGET = 300_000; // elements; larger planes are traced on block means
const RAGGED = 1.15; // a line this many times longer than the box around it shows noise
const FEW = 4;

// Cell corners are a b / d c with bits 8 4 / 1 2; edges: 0 top, 1 right, 2 bottom, 3 left.
const CASES = [
  [],
  [[3, 2]],
  [[2, 1]],
  [[3, 1]],
  [[0, 1]],
  [
    [3, 0],
    [2, 1],
  ],
  [[0, 2]],
  [[3, 0]],
  [[3, 0]],
  [[0, 2]],
  [
    [0, 1],
    [3, 2],
  ],
  [[0, 1]],
  [[3, 1]],
  [[2, 1]],
  [[3, 2]],
  [],
];

// { sigma, lines: [[share, [[[x, y], …] …]] …] } in pixel-centre coordinates of the plane; null without mass.
export function traced(plane) {
  let block = 1;
  while ((plane.height * plane.width) / block ** 2 > BUDGET) block++;
  const coarse = blockMean(plane, block);
  const limit = Math.max(coarse.height, coarse.width) / 24;
  let answer = null;
  for (const sigma of SIGMAS.filter((candidate) => candidate <= limit || candidate === 0)) {
    const soft = smoothed(coarse, sigma);
    const levels = massLevels(soft.values, SHARES);
    if (!levels) return null;
    const lines = levels.map((level) => chains(soft, level));
    answer = {
      sigma: sigma * block,
      lines: SHARES.map((share, i) => [share, lines[i].map((line) => line.map((point) => enlarged(point, block)))]),
    };
    if (!lines.some(isRagged)) break;
  }
  return answer;
}

const enlarged = ([x, y], block) => [x * block + (block - 1) / 2, y * block + (block - 1) / 2];

// Closed lines between the pixels above and not above a level; outside the plane is 0, so that every line closes.
export function chains({ height, width, values }, level) {
  const at = (y, x) => (y < 0 || x < 0 || y >= height || x >= width ? 0 : values[y * width + x]) - level;
  const next = new Map(); // edge → the pieces that end on it
  const pieces = [];
  for (let y = -1; y < height; y++) {
    for (let x = -1; x < width; x++) {
      const code = 8 * (at(y, x) > 0) + 4 * (at(y, x + 1) > 0) + 2 * (at(y + 1, x + 1) > 0) + (at(y + 1, x) > 0);
      for (const ends of CASES[code]) {
        const piece = ends.map((edge) => crossing(at, y, x, edge, width));
        pieces.push(piece);
        for (const { key } of piece) (next.get(key) ?? next.set(key, []).get(key)).push(piece);
      }
    }
  }
  return joined(pieces, next);
}

function crossing(at, y, x, edge, width) {
  const [row, column, isUpright] = [y + (edge === 2), x + (edge === 1), edge % 2 === 1];
  const first = at(row, column);
  const second = isUpright ? at(row + 1, column) : at(row, column + 1);
  const part = first / (first - second);
  const point = isUpright ? [column, row + part] : [column + part, row];
  return { point, key: 2 * ((row + 1) * (width + 2) + column + 1) + isUpright };
}

function joined(pieces, next) {
  const seen = new Set();
  const lines = [];
  for (const start of pieces) {
    if (seen.has(start)) continue;
    const line = [start[0].point];
    for (let piece = start, from = start[0].key; piece;) {
      seen.add(piece);
      const far = piece[0].key === from ? piece[1] : piece[0];
      line.push(far.point);
      from = far.key;
      piece = next.get(from).find((candidate) => !seen.has(candidate));
    }
    lines.push(line);
  }
  return lines;
}

function isRagged(lines) {
  const length = lines.reduce((total, line) => total + lengthOf(line), 0);
  const largest = lines
    .map(outline)
    .sort((a, b) => b - a)
    .slice(0, FEW);
  return length > RAGGED * largest.reduce((total, one) => total + one, 0);
}

function lengthOf(line) {
  let length = 0;
  for (let i = 1; i < line.length; i++) length += Math.hypot(line[i][0] - line[i - 1][0], line[i][1] - line[i - 1][1]);
  return length;
}

function outline(line) {
  const [xs, ys] = [line.map(([x]) => x), line.map(([, y]) => y)];
  const spread = (values) => values.reduce((a, b) => Math.max(a, b)) - values.reduce((a, b) => Math.min(a, b));
  return 2 * (spread(xs) + spread(ys));
}
