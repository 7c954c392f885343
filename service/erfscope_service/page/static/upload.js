// A model on its way in: dropped or chosen with the files beside it, stored, inspected in the worker's jail.

import { requireModel } from "/page/accept.js";
import * as api from "/page/api.js";
import { $, announce } from "/page/dom.js";
import { chosen, dropped } from "/page/dropped.js";
import { ENDED } from "/page/events.js";
import { counted, mebibytes } from "/page/format.js";
import { matched, namesIn } from "/page/onnx.js";
import { patiently } from "/page/patience.js";
import { complain } from "/page/problem.js";

const PAUSE = 400; // milliseconds between looks at the inspection
const NOTHING = ["Drop an .onnx file here", "with the files or the folder of its weights, or click to choose"];
const LARGEST = 2 ** 26; // bytes: a larger ONNX file has its weights in it

// `changed` gets what is known of the model: null at first, then a StoredModel, again when it has been inspected.
export function uploads(changed) {
  let turn = 0; // a later file makes answers about an earlier one void
  let waiting = null; // a model that names files which are not here yet: { model, names, files }

  async function take(files) {
    if (!files.length) return;
    if (files.length === 1 && /\.json$/i.test(files[0].path)) return changed({ spec: await files[0].file.text() });
    const models = files.filter(({ path }) => /\.onnx$/i.test(path));
    if (waiting && !models.length) return send({ ...waiting, files: [...waiting.files, ...files] });
    if (models.length > 1 || (!models.length && files.length > 1)) return refuse(models);
    const model = models[0] ?? files[0];
    const folder = model.path.slice(0, model.path.lastIndexOf("/") + 1);
    const beside = files.filter(({ path }) => path.startsWith(folder) && path !== model.path);
    changed(null);
    if (!(await isTaken(model.file))) return;
    const names = model.file.size > LARGEST ? [] : namesIn(new Uint8Array(await model.file.arrayBuffer()));
    await send({
      model: model.file,
      names,
      files: beside.map(({ path, file }) => ({ path: path.slice(folder.length), file })),
    });
  }

  async function send(asked) {
    const { model, names, files } = asked;
    const mine = ++turn;
    const data = matched(names, files);
    const missing = names.filter((name) => !data.get(name));
    changed(null);
    waiting = missing.length ? asked : null;
    if (missing.length) return ask(model, missing);
    const weights = [...data.values()].map(({ file }) => file);
    if (!(await isTaken(model, weights))) return;
    const size = weights.reduce((sum, file) => sum + file.size, model.size);
    say(model.name, `${mebibytes(size)}, uploading …`);
    await watch(() => api.storeModel(model, data), mine);
  }

  // Whether the service would take these; if not, the page says why, and nothing is sent.
  async function isTaken(model, data = []) {
    try {
      await requireModel(model, data);
      return true;
    } catch (error) {
      say(...NOTHING);
      complain($("upload-problem"), error);
      return false;
    }
  }

  function refuse(models) {
    const detail = models.length
      ? `These are ${models.length} ONNX files (${listed(models.map(({ path }) => path))}); drop one with its data.`
      : "None of these files ends in .onnx; drop the model with its data.";
    complain($("upload-problem"), new api.Problem({ title: "Which file is the model?", detail }));
  }

  async function reopen(sha256) {
    waiting = null;
    const mine = ++turn;
    await watch(() => api.inspect(sha256), mine);
  }

  async function watch(first, mine) {
    complain($("upload-problem"), null);
    try {
      let model = await first();
      const again = () => patiently(() => api.model(model.sha256));
      for (; mine === turn && !ENDED.has(model.status); model = await again()) {
        changed(model);
        say(model.name, `${mebibytes(model.size)}, looking for its layers …`);
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
      if (mine !== turn) return;
      changed(model);
      describe(model);
    } catch (error) {
      if (mine !== turn) return;
      say(...NOTHING);
      complain($("upload-problem"), error);
    }
  }

  $("file").addEventListener("change", () => {
    const files = chosen($("file"));
    $("file").value = "";
    take(files);
  });
  dropZone(take);
  return { reopen };
}

const listed = (list) => list.slice(0, 5).join(", ") + (list.length > 5 ? ` and ${list.length - 5} more` : "");

// The model is here, some of its weights are not: the next drop may bring them.
function ask(model, missing) {
  say(model.name, `waits for ${missing.length === 1 ? "a file" : `${missing.length} files`} with its weights`);
  const detail =
    `${model.name} keeps weights in ${listed(missing)}, which ${missing.length === 1 ? "is" : "are"} not here. ` +
    "Either drop that as well, or export the model again with external_data=False, which writes a single file.";
  complain($("upload-problem"), new api.Problem({ title: "A file of the model is missing", detail }));
}

function say(name, hint) {
  $("file-name").textContent = name;
  $("file-hint").textContent = hint;
}

function describe({ name, size, inspection, error }) {
  complain($("upload-problem"), error);
  const found = inspection
    ? `${counted(inspection.layers.length, "layer")}, input ${inspection.input_shape.join(" × ")}`
    : "cannot be measured as it is";
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
    dropped(event.dataTransfer).then(take);
  });
}
