// The user's own picture under the maps: read in this browser, sent nowhere.

import { h } from "/page/dom.js";
import { look, set } from "/page/state.js";

export const overlay = { image: null, opacity: 0.75 };
let owner = ""; // the network that the picture was chosen for

// The picture of one network is not shown with another: `network` is what tells them apart.
export function belongsTo(network) {
  if (network !== owner) overlay.image = null;
  owner = network;
}

export const networkOf = ({ model }) => model.sha256 ?? model.name;

// As a file would hold it, so that a saved figure holds it as well.
function dataUrl(bitmap) {
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.toDataURL("image/png");
}

// The file input and, once there is a picture, the slider of the map's strength and what removes it.
export function overlayControls(complain) {
  const file = h("input", { type: "file", accept: "image/*", className: "hidden", on: { change: () => load() } });
  const strength = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    value: overlay.opacity,
    on: { input: () => change({ opacity: Number(strength.value) }) },
  });
  const slider = h("label", { className: "inline" }, "Map strength ", strength);
  const drop = h("button", {
    type: "button",
    className: "quiet",
    textContent: "Remove image",
    on: { click: () => change({ image: null }) },
  });
  async function load() {
    try {
      if (file.files[0]) change({ image: { url: await dataUrl(await createImageBitmap(file.files[0])) } });
    } catch {
      complain("This file is not an image that the browser can read.");
    }
    file.value = "";
  }
  function change(changes) {
    Object.assign(overlay, changes);
    slider.hidden = drop.hidden = !overlay.image;
    set({ ...look });
  }
  slider.hidden = drop.hidden = !overlay.image;
  return [h("label", { className: "filebutton" }, file, "Show over an image …"), slider, drop];
}
