// What words mean, where they are read: a button at a word opens its explanation, the header's opens all of them.

import { $, announce, h } from "/page/dom.js";
import { load, terms } from "/page/words.js";

const WIDTH = 352; // pixels of the panel, at most
const AWAY = 8; // pixels between it and the edges of the window
const MISSING = [["Glossary", "The service did not send it. Reload the page."]];
const SEARCHED = 8; // terms above which they can be searched
let panel = null; // one for all buttons
let opener = null;

export function setUp() {
  opens($("glossary"), () => (terms().length ? terms() : MISSING));
}

// A text as nodes: each word of the glossary is a button, at its first place.
export function explained(text) {
  const nodes = [];
  let from = 0;
  for (const [word, at, row] of found(text)) {
    nodes.push(text.slice(from, at), explainer(word, row));
    from = at + word.length;
  }
  return [...nodes, text.slice(from)].filter((part) => part !== "");
}

// A button of these words, which opens a row of [head, text] and what the glossary has on the words of the row.
export function explainer(words, row) {
  const made = h("button", { type: "button", className: "term", textContent: words });
  const further = () => found(row.join(" ")).flatMap(([, , other]) => (other[0] === row[0] ? [] : [other]));
  return opens(made, () => [row, ...further()]);
}

// [[word, where it begins, [term, what it means]] …], each term once.
function found(text) {
  const rows = new Map(terms().map((row) => [row[0], row]));
  const pattern = new RegExp(`(?<!\\w)(?:${[...rows.keys()].map(patternOf).join("|")})(?!\\w)`, "g");
  return [...(rows.size ? text.matchAll(pattern) : [])].flatMap(({ 0: word, index }) => {
    const row = [...rows.values()].find(([term]) => new RegExp(`^${patternOf(term)}$`).test(word));
    rows.delete(row?.[0]);
    return row ? [[word, index, row]] : [];
  });
}

// A term may begin a label, and stand in the plural; r has its share behind it.
const patternOf = (term) =>
  term === "r" ? "r(?:50|90|99)?" : `[${term[0]}${term[0].toUpperCase()}]${term.slice(1)}s?`;

// Makes a button open the panel with the rows of `content`. The browser closes it: by Escape, by a click elsewhere.
function opens(button, content) {
  button.popoverTargetElement = panel ??= document.body.appendChild(
    h("div", { id: "explanation", popover: "auto", tabIndex: 0, aria: { role: "note", label: "Explanation" } }),
  );
  button.addEventListener("click", async (event) => {
    if (panel.matches(":popover-open") && opener === button) return; // the second click closes it
    if (panel.matches(":popover-open")) event.preventDefault(); // it stays, with other words
    opener = button;
    if (!terms().length) await load();
    fill(content());
    beside(button);
  });
  return button;
}

function fill(rows) {
  const parts = rows.flatMap(([head, text]) => [h("dt", { textContent: head }), h("dd", { textContent: text })]);
  const list = h("dl", {}, ...parts);
  panel.replaceChildren(...(rows.length > SEARCHED ? [search(list)] : []), list);
  panel.scrollTop = 0;
  announce(rows.map((row) => row.join(": ")).join(" "));
}

// Leaves of the list the terms whose name or words have what is typed.
function search(list) {
  const narrow = ({ target }) => {
    const typed = target.value.trim().toLowerCase();
    for (const head of list.querySelectorAll("dt")) {
      const words = `${head.textContent} ${head.nextSibling.textContent}`.toLowerCase();
      head.hidden = head.nextSibling.hidden = !words.includes(typed);
    }
  };
  const aria = { label: "Search the glossary" };
  return h("input", { type: "search", placeholder: "Search", on: { input: narrow }, aria });
}

// Below the button, inside of the window.
function beside(button) {
  const { left, bottom } = button.getBoundingClientRect();
  const width = Math.min(WIDTH, document.documentElement.clientWidth - 2 * AWAY);
  const most = document.documentElement.clientWidth - width - AWAY;
  panel.style.width = `${width}px`;
  panel.style.left = `${Math.max(AWAY, Math.min(left, most)) + scrollX}px`;
  panel.style.top = `${bottom + AWAY / 2 + scrollY}px`;
}
