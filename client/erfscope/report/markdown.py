"""A report as Markdown, for pull requests and notebooks."""

import re
from collections.abc import Sequence

from erfscope.report.content import Content, Table, visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def to_markdown(content: Content, picture: str | None = None) -> str:
    """The whole document; `picture` is the address of the PNG (GitHub strips data: addresses)."""
    parts = [f"# {_inert(content.title)}", _inert(content.headline)]
    if picture:
        parts.append(f"![Map of the receptive field]({picture})")
    parts.append("\n".join(f"- {_inert(name)}: {_inert(words)}" for name, words in content.facts))
    if content.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {_inert(note)}" for note in content.notes))
    return "\n\n".join([*parts, *map(_table, content.tables)]) + "\n"


def _table(table: Table) -> str:
    rule = ["---:" if 0 < column < table.left else "---" for column in range(len(table.heads))]
    lines = [table.heads, rule, *([_inert(cell) for cell in row] for row in table.rows)]
    return f"## {_inert(table.title)}\n\n" + "\n".join(_line(cells) for cells in lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _inert(text: str) -> str:
    """Text from a model file cannot become markup, nor turn the words around it."""
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))
