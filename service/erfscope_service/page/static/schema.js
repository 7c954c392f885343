// JSON Schema as tables of fields, for the reference. Pure but for the elements it makes.

import { h } from "/page/dom.js";

const DEEPEST = 3; // levels of fields within fields in one table

// `code` between backticks, the rest as it is.
export const prose = (text) => text.split("`").map((part, i) => (i % 2 ? h("code", { textContent: part }) : part));

export const resolved = (schema, document_) =>
  schema?.$ref
    ? schema.$ref
        .split("/")
        .slice(1)
        .reduce((at, name) => at[name], document_)
    : (schema ?? {});

// "integer ≥ 1", "normal | uniform", "list of …".
export function typeOf(given, document_) {
  const schema = resolved(given, document_);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const options = (schema.anyOf ?? schema.oneOf)?.map((option) => typeOf(option, document_));
  if (options) return options.length > 8 ? `one of ${options.length} kinds` : [...new Set(options)].join(" | ");
  if (schema.allOf?.length === 1) return typeOf(schema.allOf[0], document_);
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {}, document_) || "anything"}`;
  return [schema.title && schema.type === "object" ? schema.title : (schema.type ?? ""), bounds(schema)]
    .join(" ")
    .trim();
}

const BOUNDS = [
  ["minimum", "≥"],
  ["exclusiveMinimum", ">"],
  ["maximum", "≤"],
  ["exclusiveMaximum", "<"],
];

const bounds = (schema) =>
  BOUNDS.filter(([name]) => schema[name] !== undefined)
    .map(([name, sign]) => `${sign} ${schema[name]}`)
    .join(" ");

// [[path, type, default, description] …] of an object's fields and of the objects in them.
export function fields(given, document_, prefix = "", depth = 0) {
  const schema = resolved(given, document_);
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const own = resolved(field, document_);
    const inner = [field, ...(own.anyOf ?? []), ...(own.allOf ?? [])]
      .map((option) => resolved(option, document_))
      .find((option) => option.properties);
    const usual = own.default ?? field.default;
    const row = [
      `\`${prefix}${name}\``,
      typeOf(field, document_),
      usual === undefined ? "" : written(usual),
      field.description ?? own.description ?? "",
    ];
    const isNested = inner && depth < DEEPEST && !(inner.description && depth && inner.properties.layers);
    return isNested ? [row, ...fields(inner, document_, `${prefix}${name}.`, depth + 1)] : [row];
  });
}

const written = (value) => (typeof value === "object" && value !== null ? "" : `\`${JSON.stringify(value)}\``);

export function table(heads, rows) {
  const cells = (tag, row) => row.map((cell) => h(tag, tag === "th" ? { scope: "col" } : {}, ...prose(cell)));
  const head = h("thead", {}, h("tr", {}, ...cells("th", heads)));
  const body = h("tbody", {}, ...rows.map((row) => h("tr", {}, ...cells("td", row))));
  return h(
    "div",
    { className: "scroll", tabIndex: 0, aria: { role: "region", label: heads.join(", ") } },
    h("table", {}, head, body),
  );
}
