// Elements made and found in one line each, and files handed to the user.

export const $ = (id) => document.getElementById(id);

// An HTML element: h("p", { className: "muted" }, "text", child); `on` holds listeners, `aria` and `data` attributes.
export function h(tag, { on = {}, aria = {}, data = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  for (const [name, listener] of Object.entries(on)) made.addEventListener(name, listener);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(name === "role" ? name : `aria-${name}`, value);
  Object.assign(made.dataset, data);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// An SVG element with presentation attributes, so that a copy of it looks the same outside of this page.
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A labelled <select>; options are [value, words] or words.
export function choice(label, options, value, change) {
  const select = h("select", { aria: { label }, on: { change: () => change(select.value) } });
  for (const option of options) {
    const [key, words] = Array.isArray(option) ? option : [option, option];
    select.append(h("option", { value: key, textContent: words, selected: key === value }));
  }
  return h("label", { className: "inline" }, `${label} `, select);
}

export function tick(label, checked, change) {
  const box = h("input", { type: "checkbox", checked, on: { change: () => change(box.checked) } });
  return h("label", { className: "inline" }, box, ` ${label}`);
}

export const button = (words, click, properties = {}) =>
  h("button", { type: "button", className: "quiet", textContent: words, on: { click }, ...properties });

// Words for screen readers alone; politely, once what is being read has ended.
export function announce(words) {
  $("announcer").textContent = words;
}

export function save(content, name, type = "application/octet-stream") {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export function fileName(...parts) {
  return parts
    .filter(Boolean)
    .join("-")
    .replace(/[^\w.-]+/g, "_")
    .slice(0, 120);
}
