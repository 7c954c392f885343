"""A report as Markdown, for pull requests and notebooks."""

from collections.abc import Sequence

from erfscope.report.content import Content, Table
from erfscope_contract.text import for_markdown


def to_markdown(content: Content, picture: str | None = None) -> str:
    """The whole document; `picture` is the address of the PNG (GitHub strips data: addresses)."""
    parts = [f"# {for_markdown(content.title)}", for_markdown(content.headline)]
    if picture:
        parts.append(f"![Map of the receptive field]({picture})")
    parts.append("\n".join(f"- {for_markdown(name)}: {for_markdown(words)}" for name, words in content.facts))
    if content.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {for_markdown(note)}" for note in content.notes))
    return "\n\n".join([*parts, *map(_table, content.tables)]) + "\n"


def _table(table: Table) -> str:
    rule = ["---:" if 0 < column < table.left else "---" for column in range(len(table.heads))]
    lines = [table.heads, rule, *([for_markdown(cell) for cell in row] for row in table.rows)]
    return f"## {for_markdown(table.title)}\n\n" + "\n".join(_line(cells) for cells in lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
