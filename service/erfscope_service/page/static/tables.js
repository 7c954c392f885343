// A plain table of words.

import { h } from "/page/dom.js";

// `kind` is the class of the cells behind the first of a row, `className` that of the table.
export function table(heads, rows, kind = "value", className = "") {
  const head = h("thead", {}, h("tr", {}, ...heads.map((words) => h("th", { scope: "col", textContent: words }))));
  const body = rows.map(([first, ...rest]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", textContent: first }),
      ...rest.map((cell) => h("td", { className: kind, textContent: cell })),
    ),
  );
  const label = `${heads[0]}, ${heads.at(-1)}`;
  const about = { className: "scroll", tabIndex: 0, aria: { role: "region", label } };
  return h("div", about, h("table", { className }, head, h("tbody", {}, ...body)));
}
