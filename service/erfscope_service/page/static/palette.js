// Colours and font of figures, by the page's theme.

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

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";

// `light` is for files that go into papers.
export function palette({ light = false } = {}) {
  const theme = document.documentElement.dataset.theme;
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return isDark && !light ? DARK : LIGHT;
}
