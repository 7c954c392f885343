// A plain table of words.

import { h } from "/page/dom.js";
import { explained } from "/page/glossary.js";

export const rowHead = (name, facts) =>
  h("th", { scope: "row" }, name, facts ? h("small", { textContent: facts }) : null);

// The heads of columns, the words of the glossary explained.
export const heading = (heads) =>
  h("thead", {}, h("tr", {}, ...heads.map((words) => h("th", { scope: "col" }, ...explained(words)))));

// `kind` is the class of the cells behind the first of a row, `className` that of the table. A row begins with a name,
// or with [name, facts about it].
export function table(heads, rows, kind = "value", className = "answer") {
  const body = rows.map(([first, ...rest]) =>
    h(
      "tr",
      {},
      rowHead(...[first].flat()),
      ...rest.map((cell, i) => h("td", { className: kind, textContent: cell, data: { head: heads[i + 1] } })),
    ),
  );
  const label = `${heads[0]}, ${heads.at(-1)}`;
  const about = { className: "scroll", tabIndex: 0, aria: { role: "region", label } };
  return h("div", about, h("table", { className }, heading(heads), h("tbody", {}, ...body)));
}
