"""A report as one HTML file: picture and style inside, no script, nothing to fetch."""

import re
from base64 import b64encode
from collections.abc import Sequence

from erfscope.report.content import METRIC_HEADS, Content, Table
from erfscope_contract.text import for_html

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2rem; }
img { max-width: 100%; height: auto; background: #fff; }
.lead { font-size: 1.15rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { background: var(--soft); } td.n, th.n { text-align: right; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dt { opacity: .75; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; } dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .4rem; }
  .metrics thead, .metrics td:nth-child(3) { display: none; }
  .metrics tr { display: grid; grid-template-columns: minmax(0, 1fr) auto; border-bottom: 1px solid var(--line); }
  .metrics td { border: 0; } .metrics td:nth-child(4) { grid-column: 1 / -1; padding-top: 0; opacity: .75; }
}
"""


def to_html(content: Content, png: bytes | None = None) -> str:
    """The whole page; `png` is the picture of the map."""
    facts = "".join(f"<dt>{for_html(name)}</dt><dd>{for_html(words)}</dd>" for name, words in content.facts)
    notes = "".join(f"<li>{_prose(note)}</li>" for note in content.notes)
    picture = _picture(png, content.headline) if png else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{for_html(content.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{for_html(content.title)}</h1>\n<p class="lead">{for_html(content.headline)}</p>\n{picture}'
        f"<dl>{facts}</dl>\n{f'<h2>Notes</h2><ul>{notes}</ul>' if notes else ''}\n"
        f"{''.join(map(_table, content.tables))}</body>\n</html>\n"
    )


def _prose(text: str) -> str:
    """A sentence; what it has between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", for_html(text))


def _picture(png: bytes, words: str) -> str:
    data = b64encode(png).decode()
    return f'<p><img alt="Map of the receptive field. {for_html(words)}" src="data:image/png;base64,{data}"></p>\n'


def _table(table: Table) -> str:
    heads = _row("th", table.heads, table.left)
    rows = "".join(f"<tr>{_row('td', row, table.left)}</tr>\n" for row in table.rows)
    kind = ' class="metrics"' if table.heads == METRIC_HEADS else ""
    return (
        f'<h2>{for_html(table.title)}</h2>\n<div class="wide" tabindex="0" role="region" '
        f'aria-label="{for_html(table.title)}"><table{kind}>\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table></div>\n"
    )


def _row(tag: str, cells: Sequence[str], left: int) -> str:
    return "".join(
        f"<{tag}{' class=n' if 0 < column < left else ''}>{for_html(cell)}</{tag}>" for column, cell in enumerate(cells)
    )
