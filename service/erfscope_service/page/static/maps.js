// The map in front: the job's own, that of one unit of its grid, or that of one layer of its profile.

import * as api from "/page/api.js";
import { button, fileName, h, save } from "/page/dom.js";
import { figure } from "/page/figure.js";
import { by, length, typeset, unitName } from "/page/format.js";
import * as npy from "/page/npy.js";
import { belongsTo, networkOf } from "/page/overlay.js";
import { saveSvg, savePng, sheet } from "/page/portable.js";
import { complain } from "/page/problem.js";
import { toolbar } from "/page/toolbar.js";

const NOT_KEPT = "The map of this one was not kept with the result; measure it on its own to see it.";

// { root, show(part) }: `part` is {} for the main map, { unit } or { layer } for another.
export function maps(job) {
  const { result } = job;
  belongsTo(networkOf(job));
  const rank = result.trf.size.length;
  const problem = h("div", { className: "problem", hidden: true, aria: { role: "alert" } });
  const caption = h("h3", { className: "hidden" });
  const back = button("Back to the main map", () => show({}));
  const place = h(
    "div",
    { className: rank === 1 ? "mapplace line" : "mapplace", aria: { busy: "true" } },
    h("p", { className: "muted loading", textContent: "Loading the map …" }),
  );
  const files = h("div", { className: "toolbar downloads", aria: { role: "group", label: "Downloads" } });
  const controls = toolbar({ rank, complain: (detail) => complain(problem, { title: "No overlay", detail }) });
  const root = h(
    "section",
    { className: "maps", aria: { label: "Map" } },
    h("div", { className: "toolbar" }, caption, back),
    problem,
    place,
    controls,
    files,
  );
  let turn = 0;

  async function show(part) {
    const mine = ++turn;
    const { title, trf } = described(job, part);
    complain(problem, null);
    back.hidden = isMain(part);
    caption.className = isMain(part) ? "hidden" : "";
    caption.textContent = title;
    place.setAttribute("aria-busy", "true");
    try {
      const bytes = await api.bytes(api.mapPath(job, part));
      if (mine !== turn) return;
      const shown = figure({ field: npy.parse(bytes), trf, label: labelOf(job, part) });
      place.replaceChildren(shown.root);
      files.replaceChildren(...downloads(job, part, bytes, shown, (error) => complain(problem, error)));
    } catch (error) {
      if (mine !== turn) return;
      complain(problem, error.status === 404 && !isMain(part) ? { ...error, detail: NOT_KEPT } : error);
      place.replaceChildren();
      files.replaceChildren();
    } finally {
      if (mine === turn) place.setAttribute("aria-busy", "false");
    }
  }

  show({});
  return { root, show };
}

const isMain = ({ unit, layer }) => !unit && !layer;

// The heading and the theoretical field of a part; its sizes are in the heading, for the tiles are the main map's.
function described({ result }, { unit, layer }) {
  const same = (entry) => (unit ? String(entry.unit) === String(unit) : entry.name === layer);
  const found = isMain({ unit, layer }) ? null : (unit ? result.units : result.layers).find(same);
  if (!found) return { title: "Main map", trf: result.trf };
  const size = found.erf?.size ?? found.erf_size ?? null;
  const facts = size === null ? "" : `: ERF ${length(size, result.trf.size.length)}`;
  return { title: `Map of ${unit ? `unit ${unitName(unit)}` : `layer ${layer}`}${facts}`, trf: found.trf ?? null };
}

function labelOf({ model, result }, { unit, layer }) {
  const size = length(result.erf.size, result.trf.size.length);
  const erf =
    result.erf.size === null ? "" : ` Effective size ${size}, theoretical ${result.trf.size.join(" by ")}.`;
  const what = unit ? `unit ${unitName(unit)}` : `layer ${layer ?? result.layer.name}`;
  return `Map of the effective receptive field of ${model.name}, ${what}.${unit || layer ? "" : erf}`;
}

// Above a figure that is saved: what it shows.
function captionOf({ model, result, metrics }, part) {
  const size = isMain(part) ? metrics.find(({ name }) => name === "erf_size")?.text : null;
  const unit = part.unit ?? (part.layer ? null : result.unit);
  return [
    model.name,
    part.layer ?? result.layer.name,
    unit && `unit ${unitName(unit)}`,
    `input ${by(result.input_shape)}`,
    size && `ERF ${typeset(size)}`,
  ]
    .filter(Boolean)
    .join(" · ");
}

function downloads(job, part, bytes, shown, fail) {
  const drawn = sheet([shown], [captionOf(job, part)]);
  const name = fileName("erf", job.model.name, part.layer ?? job.result.layer.name, part.unit?.join("_"));
  const made = [
    h("span", { className: "muted", textContent: "Download" }),
    button("PNG", () => savePng(drawn, name)),
    button("SVG", () => saveSvg(drawn, name)),
    button("NPY", () => save(bytes, `${name}.npy`)),
  ];
  if (!isMain(part)) return made;
  const fetched = (words, path, ending, type) =>
    button(words, () => api.text(path).then((text) => save(text, `${name}.${ending}`, type), fail));
  return [
    ...made,
    fetched("JSON", job.links.self, "json", "application/json"),
    fetched("CSV", `${job.links.self}/metrics.csv`, "csv", "text/csv"),
    fetched("Report", `${job.links.self}/report.html`, "html", "text/html"),
  ];
}
