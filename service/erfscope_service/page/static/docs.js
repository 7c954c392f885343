// The reference: the service's own OpenAPI document as a readable page.

import { $, h } from "/page/dom.js";
import { fields, prose, resolved, table, typeOf } from "/page/schema.js";
import { written } from "/page/spec.js";

const METHODS = ["get", "post", "put", "delete"];
const FIELDS = ["Field", "Type", "Default", "Meaning"];

const anchor = (method, path) => `${method}${path.replace(/[^a-z0-9]+/gi, "-").replace(/-$/, "")}`;
const title = (words) => h("h4", { textContent: words });

// Every [method, path, operation] that carries a tag.
function operations(spec, tag) {
  return Object.entries(spec.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]?.tags?.includes(tag)).map((method) => [method, path, methods[method]]),
  );
}

function operation([method, path, told], spec) {
  const head = h(
    "summary",
    {},
    h("span", { className: `method ${method}`, textContent: method.toUpperCase() }),
    h("code", { textContent: path }),
    h("span", { className: "muted", textContent: told.summary }),
  );
  const words = (told.description ?? "").split("\n\n").map((paragraph) => h("p", {}, ...prose(paragraph)));
  const details = h("details", { className: "operation", id: anchor(method, path) }, head, ...words);
  if (told.parameters?.length) details.append(title("Parameters"), parameters(told.parameters, spec));
  if (told.requestBody) details.append(...requestBody(told.requestBody, spec));
  details.append(title("Responses"), ...responses(told.responses, spec));
  return details;
}

function parameters(found, spec) {
  const rows = found.map((given) => resolved(given, spec));
  return table(
    ["Name", "In", "Type", "Meaning"],
    rows.map(({ name, in: where, schema, description = "" }) => [
      `\`${name}\``,
      where,
      typeOf(schema, spec),
      description,
    ]),
  );
}

function requestBody({ description = "", content }, spec) {
  const made = [title("Body"), h("p", {}, ...prose(description))];
  const types = Object.entries(content);
  made.push(h("p", {}, ...types.flatMap(([type], i) => [i ? ", " : "", h("code", { textContent: type })])));
  const told = types.find(([, { schema }]) => fields(schema, spec).length);
  if (told) made.push(table(FIELDS, fields(told[1].schema, spec)));
  for (const [type, media] of types) made.push(...examples(media, type));
  return made;
}

function examples({ examples: named = {}, example }, type) {
  const all = Object.entries(example === undefined ? named : { [type]: { value: example } });
  return all.map(([name, { summary, value }]) =>
    h("details", {}, h("summary", { textContent: `Example: ${summary ?? name}` }), code(value)),
  );
}

const code = (value) =>
  h("pre", { tabIndex: 0 }, h("code", { textContent: typeof value === "string" ? value : written(value) }));

function responses(found, spec) {
  const rows = Object.entries(found).map(([status, { description, content = {} }]) => [
    `\`${status}\``,
    description,
    Object.keys(content).join(", "),
  ]);
  const success = Object.entries(found).find(([status]) => status.startsWith("2"))?.[1];
  const media = Object.entries(success?.content ?? {})[0];
  const made = [table(["Status", "Meaning", "Media type"], rows)];
  const told = media ? fields(media[1].schema, spec) : [];
  if (told.length)
    made.push(h("details", {}, h("summary", { textContent: "Fields of the answer" }), table(FIELDS, told)));
  if (media) made.push(...examples(media[1], media[0]));
  return made;
}

function section({ name, description }, spec) {
  const found = operations(spec, name);
  if (!found.length) return [];
  const heading = h("h2", { id: name, textContent: name });
  const words = h("p", { className: "muted" }, ...prose(description ?? ""));
  return [h("section", {}, heading, words, ...found.map((one) => operation(one, spec)))];
}

function problems({ info }) {
  const rows = info.description.split("\n").filter((line) => line.startsWith("| `/problems/"));
  const cells = rows.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return table(["Type", "Status", "Meaning"], cells);
}

function contents(spec) {
  return spec.tags.flatMap(({ name }) =>
    operations(spec, name).map(([method, path]) =>
      h(
        "li",
        {},
        h(
          "a",
          { href: `#${anchor(method, path)}` },
          h("span", { className: "method", textContent: method.toUpperCase() }),
          ` ${path}`,
        ),
      ),
    ),
  );
}

// An address with an anchor opens the operation that it names.
function open() {
  const named = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!named) return;
  if (named.matches("details")) named.open = true;
  named.scrollIntoView({ block: "start" });
}

const spec = await (await fetch("/openapi.json")).json();
$("version").textContent = `version ${spec.info.version}`;
$("contents").replaceChildren(...contents(spec));
$("operations").replaceChildren(...spec.tags.flatMap((tag) => section(tag, spec)));
$("problems").replaceChildren(problems(spec));
window.addEventListener("hashchange", open);
open();
