// A spec without the defaults that the service writes out, by its JSON schema: as a person would write it. Pure.

import { resolved } from "/page/schema.js";

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const alike = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// Name and input come first and stay whole, for people change them first.
export function brief(spec, schema) {
  const { name, input, ...rest } = shortened(spec, schema, schema);
  return { ...(name && { name }), input: spec.input ?? input, ...rest };
}

export const isSame = (one, other, schema) => alike(brief(one, schema), brief(other, schema));

function shortened(value, schema, root) {
  const { items, properties } = formOf(value, schema, root);
  if (Array.isArray(value)) return items ? value.map((one) => shortened(one, items, root)) : value;
  if (!isObject(value) || !properties) return value;
  const isUsual = (name) => "default" in (properties[name] ?? {}) && alike(properties[name].default, value[name]);
  return Object.fromEntries(
    Object.keys(value)
      .filter((name) => !isUsual(name))
      .map((name) => [name, shortened(value[name], properties[name] ?? {}, root)]),
  );
}

// The schema of this value, of the alternatives: by its type, or of layers by the field that tells them apart.
function formOf(value, schema, root) {
  const form = resolved(schema, root);
  const { mapping, propertyName } = form.discriminator ?? {};
  if (mapping && isObject(value)) return formOf(value, { $ref: mapping[value[propertyName]] }, root);
  const options = form.anyOf ?? form.oneOf ?? [];
  const fits = ({ items, properties, discriminator }) =>
    Array.isArray(value) ? items : isObject(value) && (properties || discriminator);
  const option = options.map((one) => resolved(one, root)).find(fits);
  return option ? formOf(value, option, root) : form;
}
