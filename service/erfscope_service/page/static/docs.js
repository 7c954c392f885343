// The reference: the service's own OpenAPI document as a readable page.

const METHODS = ["post", "get", "delete"];

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// `code` between backticks, the rest as it is.
function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", "", part) : part));
}

function table(rows) {
  const body = element("tbody", "");
  for (const cells of rows) body.append(element("tr", "", ...cells.map((cell) => element("td", "", ...prose(cell)))));
  return element("table", "", body);
}

function typeOf(schema = {}) {
  const options = schema.enum ?? schema.anyOf?.map(typeOf).filter((type) => type !== "null");
  return options ? options.join(" | ") : schema.type ?? "";
}

function operation(method, path, spec) {
  const head = element("summary", "", element("span", `method ${method}`, method.toUpperCase()), element("code", "", path));
  head.append(element("span", "muted", spec.summary));
  const details = element("details", "operation", head);
  for (const paragraph of (spec.description ?? "").split("\n\n")) details.append(element("p", "", ...prose(paragraph)));
  if (spec.parameters) {
    details.append(element("h3", "", "Parameters"));
    details.append(table(spec.parameters.map((p) => [`\`${p.name}\``, p.in, typeOf(p.schema), p.description ?? ""])));
  }
  if (spec.requestBody) {
    details.append(element("h3", "", "Body"), element("p", "", ...prose(spec.requestBody.description ?? "")));
    details.append(table(Object.keys(spec.requestBody.content).map((type) => [`\`${type}\``])));
  }
  details.append(element("h3", "", "Responses"));
  details.append(table(Object.entries(spec.responses).map(([status, response]) =>
    [`\`${status}\``, response.description, Object.keys(response.content ?? {}).join(", ")])));
  return details;
}

function sections(document_) {
  return document_.tags.map((tag) => {
    const section = element("section", "", element("h2", "", tag.name), element("p", "muted", ...prose(tag.description)));
    for (const [path, operations] of Object.entries(document_.paths)) {
      for (const method of METHODS) {
        if (operations[method]?.tags.includes(tag.name)) section.append(operation(method, path, operations[method]));
      }
    }
    return section;
  });
}

function problems(description) {
  const rows = description.split("\n").filter((line) => line.startsWith("| `/problems/"));
  return rows.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

const spec = await (await fetch("/openapi.json")).json();
document.getElementById("operations").replaceChildren(...sections(spec));
document.getElementById("problems").replaceWith(table(problems(spec.info.description)).firstChild);
