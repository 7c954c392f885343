// How maps are looked at: one set of choices for all figures, kept in this browser.

const NAME = "erfscope-look";
const DEFAULTS = {
  scale: "sqrt",
  colormap: "viridis",
  contours: true,
  trf: true,
  marginals: true,
  view: "auto",
  values: "peak",
};
const listeners = new Set();

function kept() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {};
  }
}

export const look = { ...DEFAULTS, ...kept() };

export function set(changes) {
  Object.assign(look, changes);
  localStorage.setItem(NAME, JSON.stringify(look));
  for (const listener of [...listeners]) listener(look);
}

// Calls back at each change of the look or of the theme, for as long as the element is on the page.
export function whileShown(element, redraw) {
  const listener = () => {
    if (element.isConnected) return redraw();
    listeners.delete(listener);
    document.removeEventListener("themechange", listener);
  };
  listeners.add(listener);
  document.addEventListener("themechange", listener);
}
