// Sorting and filtering of the atlas: the page's widest table gets a field to filter by and headings that sort.
const table = [...document.querySelectorAll("table")].reduce((a, b) => (b.rows.length > a.rows.length ? b : a));
const heads = [...table.tHead.rows[0].cells];
const body = table.tBodies[0];
const rows = [...body.rows];

const field = document.createElement("input");
field.type = "search";
field.placeholder = "Filter: every word must be in the row, as in: timm global";
field.setAttribute("aria-label", "Filter the table");
field.style.cssText = "width: 100%; padding: .4em; margin: .4em 0; font: inherit; border: 1px solid #888";
const count = document.createElement("p");
count.setAttribute("role", "status");
table.before(field, count);

function filter() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} networks`;
}

function order(a, b, column) {
  const [x, y] = [a, b].map((row) => row.cells[column].textContent.trim());
  const [m, n] = [x, y].map(Number.parseFloat);
  if (Number.isNaN(m) || Number.isNaN(n)) {
    return Number.isNaN(m) - Number.isNaN(n) || x.localeCompare(y); // numbers first
  }
  return m - n;
}

function sort(head) {
  const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of heads) {
    other.removeAttribute("aria-sort");
  }
  head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  rows.sort((a, b) => sign * order(a, b, heads.indexOf(head)));
  body.append(...rows);
}

for (const head of heads) {
  head.tabIndex = 0;
  head.style.cursor = "pointer";
  head.title = "Sort by this column";
  head.addEventListener("click", () => sort(head));
  head.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      sort(head);
    }
  });
}
field.addEventListener("input", filter);
filter();
