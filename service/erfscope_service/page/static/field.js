// A map as numbers: planes through it, sums along axes, the levels that hold a share of its mass. Pure.

// A 2-D cut: of a volume at `index` of `axis`; of a plane itself. Height × width, row by row.
export function plane({ shape, values }, axis = 0, index = 0) {
  if (shape.length === 2) return { height: shape[0], width: shape[1], values };
  const [depth, rows, columns] = shape;
  const strides = [rows * columns, columns, 1];
  const [down, across] = [0, 1, 2].filter((other) => other !== axis);
  const cut = new Float64Array(shape[down] * shape[across]);
  for (let y = 0, to = 0; y < shape[down]; y++) {
    for (let x = 0; x < shape[across]; x++, to++) {
      cut[to] = values[index * strides[axis] + y * strides[down] + x * strides[across]];
    }
  }
  return { height: shape[down], width: shape[across], values: cut };
}

export function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

export function maximum(values) {
  let top = 0;
  for (const value of values) if (value > top) top = value;
  return top;
}

// Mass by row and by column of a plane.
export function marginals({ height, width, values }) {
  const rows = new Float64Array(height);
  const columns = new Float64Array(width);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      rows[y] += values[at];
      columns[x] += values[at];
    }
  }
  return { rows, columns };
}

// For each share the level whose superlevel set is the smallest that holds that share of the mass; null without mass.
// `mass` is what the areas hold, where that is not the values themselves: they may be those of a smoothed plane.
export function massLevels(values, shares, mass = values) {
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  const falling = Float64Array.from(order, (place) => values[place]);
  const total = sum(mass);
  if (!(total > 0)) return null;
  const levels = [];
  let held = 0;
  let at = -1;
  for (const share of shares) {
    while (at + 1 < falling.length && held < share * total) held += mass[order[++at]];
    let below = at;
    while (below < falling.length && falling[below] === falling[at]) below++;
    levels.push((falling[at] + (falling[below] ?? 0)) / 2);
  }
  return levels;
}
