// The slider that moves a cut through a volume.

import { choice, h } from "/page/dom.js";

// Changes `cut` in place ({ axis, index }) and calls back.
export function slicer({ field: { shape }, trf }, names, cut, changed) {
  const home = (axis) => Math.min(shape[axis] - 1, Math.max(0, Math.round(trf?.center?.[axis] ?? shape[axis] / 2)));
  const shown = h("output", { className: "tabular" });
  const slider = h("input", {
    type: "range",
    min: 0,
    aria: { label: "Slice" },
    on: { input: () => move(cut.axis, Number(slider.value)) },
  });
  function move(axis, index) {
    Object.assign(cut, { axis, index });
    slider.max = shape[axis] - 1;
    slider.value = index;
    shown.textContent = `${names[axis]} = ${index}`;
    changed();
  }
  const axis = choice(
    "Slice across",
    names.map((name, i) => [String(i), name]),
    "0",
    (value) => move(Number(value), home(Number(value))),
  );
  move(0, home(0));
  return h("div", { className: "toolbar" }, axis, slider, shown);
}
