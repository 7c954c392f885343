// An ONNX file on its way in: dropped or chosen, stored, inspected in the worker's jail.

import * as api from "/page/api.js";
import { $, announce } from "/page/dom.js";
import { ENDED } from "/page/events.js";
import { mebibytes } from "/page/format.js";
import { complain } from "/page/problem.js";

const PAUSE = 400; // milliseconds between looks at the inspection

// `changed` gets what is known of the model: null at first, then a StoredModel, again when it has been inspected.
export function uploads(changed) {
  let turn = 0; // a later file makes answers about an earlier one void

  async function take(file) {
    if (!file) return;
    if (/\.json$/i.test(file.name)) return changed({ spec: await file.text() });
    const mine = ++turn;
    changed(null);
    say(file.name, `${mebibytes(file.size)}, uploading …`);
    await watch(() => api.storeModel(file), mine);
  }

  async function reopen(sha256) {
    const mine = ++turn;
    await watch(() => api.model(sha256), mine);
  }

  async function watch(first, mine) {
    complain($("upload-problem"), null);
    try {
      let model = await first();
      for (; mine === turn && !ENDED.has(model.status); model = await api.model(model.sha256)) {
        changed(model);
        say(model.name, `${mebibytes(model.size)}, looking for its layers …`);
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
      if (mine !== turn) return;
      changed(model);
      describe(model);
    } catch (error) {
      if (mine !== turn) return;
      say("Drop an .onnx file here", "or click to choose one");
      complain($("upload-problem"), error);
    }
  }

  $("file").addEventListener("change", () => (take($("file").files[0]), ($("file").value = "")));
  dropZone(take);
  return { reopen };
}

function say(name, hint) {
  $("file-name").textContent = name;
  $("file-hint").textContent = hint;
}

function describe({ name, size, inspection, error }) {
  complain($("upload-problem"), error);
  const found = inspection
    ? `${inspection.layers.length} layers, input ${inspection.input_shape.join(" × ")}`
    : "its layers could not be listed";
  say(name, `${mebibytes(size)}, ${found}`);
  announce(`${name}: ${found}`);
}

// The whole page takes files, so that a near miss does not open the file in the browser.
function dropZone(take) {
  const over = (is) => $("drop").classList.toggle("over", is);
  for (const name of ["dragover", "dragenter"]) {
    document.addEventListener(name, (event) => (event.preventDefault(), over(true)));
  }
  document.addEventListener("dragleave", (event) => event.relatedTarget || over(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    take(event.dataTransfer.files[0]);
  });
}
