// Which part of the input a figure shows. Pure.

import { massLevels } from "/page/field.js";

export const VIEWS = [
  ["auto", "the field"],
  ["input", "whole input"],
  ["trf", "theoretical field"],
  ["near", "99 % of the mass"],
];
// The legend of the theoretical box, or where it is when a view shows none of its sides.
export function boxWords({ box }, range, mark, size) {
  const words = size.replaceAll(" ", "\u00a0"); // one line
  const isOutside = box.every(([start, stop], i) => start - 0.5 < range[i][0] && stop - 0.5 > range[i][1]);
  return isOutside ? `The TRF of ${words} reaches beyond this view on all sides. ` : `${mark}: TRF ${words}. `;
}

const MARGIN = 0.06;
const AROUND = 0.25; // of the field's side, on either side of it
const LEAST = 16; // pixels
const WORTH = 0.3; // what is around a field is shown alone where it is less than this share of the input

// [x0, x1, y0, y1] (or [x0, x1] in 1-D) in pixel-centre coordinates, for the axes that the cut leaves.
export function windowOf({ field, trf, size }, { axis }, view) {
  const kept = field.shape.map((_, i) => i).filter((i) => field.shape.length < 3 || i !== axis);
  const own = viewed(field, trf, view);
  const extents = size ? own.map((range, i) => spread(range, size(view)[i])) : own;
  return kept.reverse().flatMap((i) => extents[i]);
}

const spread = ([low, high], extent) => [(low + high - extent) / 2, (low + high + extent) / 2];
const whole = ({ shape }) => shape.map((extent) => [-0.5, extent - 0.5]);

function viewed(field, trf, view) {
  if (view === "auto") return surroundings(field) ?? whole(field);
  if (view === "trf" && trf?.box) return trf.box.map(([start, stop]) => widened(start - 0.5, stop - 0.5));
  if (view === "near") return massBox(field)?.map(([low, high]) => widened(low - 0.5, high + 0.5)) ?? whole(field);
  return whole(field);
}

// For figures on one scale: how far each axis of the largest of these maps reaches, in each view.
export function commonSize(subjects) {
  const known = new Map(); // by view
  const found = (view) => {
    const sizes = subjects.map(({ field, trf }) => viewed(field, trf, view).map(([low, high]) => high - low));
    return sizes[0].map((_, axis) => Math.max(...sizes.map((one) => one[axis])));
  };
  return (view) => {
    if (!known.has(view)) known.set(view, found(view));
    return known.get(view);
  };
}

// A small field with what is around it, inside of the input; null where the field is not small.
function surroundings(field) {
  const box = massBox(field);
  if (!box) return null;
  const side = Math.max(LEAST, ...box.map(([low, high]) => (1 + 2 * AROUND) * (high - low + 1)));
  const window = box.map(([low, high], axis) => around((low + high) / 2, Math.ceil(side), field.shape[axis]));
  const share = window.reduce((product, [low, high], axis) => (product * (high - low)) / field.shape[axis], 1);
  return share < WORTH ? window : null;
}

// So many pixels around a place, or all that there are.
function around(middle, side, extent) {
  if (side >= extent) return [-0.5, extent - 0.5];
  const start = Math.min(extent - side, Math.max(0, Math.round(middle - (side - 1) / 2)));
  return [start - 0.5, start + side - 0.5];
}

const widened = (low, high) => [low - MARGIN * (high - low), high + MARGIN * (high - low)];

// The box around the smallest set of pixels that holds 99 % of the mass; null without mass.
function massBox({ shape, values }) {
  const level = massLevels(values, [0.99])?.[0];
  if (level === undefined) return null;
  const box = shape.map(() => [Infinity, -Infinity]);
  values.forEach((value, at) => {
    if (value <= level) return;
    for (let axis = shape.length - 1, rest = at; axis >= 0; axis--) {
      const i = rest % shape[axis];
      rest = (rest - i) / shape[axis];
      if (i < box[axis][0]) box[axis][0] = i;
      if (i > box[axis][1]) box[axis][1] = i;
    }
  });
  return box;
}
