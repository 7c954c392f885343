// Axes, ticks and text of figures, drawn as SVG.

import { svg } from "/page/dom.js";

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";

// Colours of a figure, from the page's theme; `light` is for files that go into papers.
const LIGHT = {
  ink: "#1c1b22",
  muted: "#5c5a68",
  line: "#c9c6d3",
  paper: "#ffffff",
  soft: "#ecebf1",
  series: ["#4a3aa7", "#b3471b", "#0f766e", "#9d174d", "#4d5a00", "#1d4ed8"],
};
const DARK = {
  ink: "#eceaf2",
  muted: "#a9a6b6",
  line: "#454352",
  paper: "#1c1b23",
  soft: "#2a2834",
  series: ["#a594ff", "#ff9d6b", "#4fd1c0", "#f58fb8", "#c3d05a", "#8fb4ff"],
};

export function palette({ light = false } = {}) {
  const theme = document.documentElement.dataset.theme;
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return isDark && !light ? DARK : LIGHT;
}

// Round numbers from low to high, about `count` of them.
export function ticks(low, high, count = 6) {
  const raw = (high - low) / Math.max(1, count);
  if (!(raw > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(10)),
  );
}

export function text(words, x, y, colour, attributes = {}) {
  return svg(
    "text",
    { x, y, "fill": colour, "font-size": 11, "font-family": FONT, "text-anchor": "middle", ...attributes },
    words,
  );
}

export const line = (x1, y1, x2, y2, colour, attributes = {}) =>
  svg("line", { x1, y1, x2, y2, stroke: colour, ...attributes });

// Below a plot: values → places along [x0, x1] at height y.
export function bottom(values, to, y, title, colours, { middle, word = String } = {}) {
  const group = svg("g");
  for (const value of values) {
    group.append(
      line(to(value), y, to(value), y + 4, colours.muted),
      text(word(value), to(value), y + 16, colours.muted),
    );
  }
  if (title) group.append(text(title, middle, y + 33, colours.muted, { "font-size": 12 }));
  return group;
}

// Left of a plot: values → places along a vertical at x; the title is turned.
export function left(values, to, x, title, colours, { middle, word = String, space = 34 } = {}) {
  const group = svg("g");
  for (const value of values) {
    group.append(line(x - 4, to(value), x, to(value), colours.muted));
    group.append(text(word(value), x - 7, to(value) + 4, colours.muted, { "text-anchor": "end" }));
  }
  if (title)
    group.append(
      text(title, 0, 0, colours.muted, {
        "font-size": 12,
        "transform": `translate(${x - space} ${middle}) rotate(-90)`,
      }),
    );
  return group;
}

export const path = (points, closed = false) =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("") + (closed ? "Z" : "");

export function frame(width, height, label) {
  return svg("svg", {
    "viewBox": `0 0 ${width} ${height}`,
    width,
    height,
    "role": "img",
    "aria-label": label,
    "font-family": FONT,
  });
}
