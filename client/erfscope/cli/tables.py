"""Plain tables of the command line."""

from collections.abc import Sequence
from typing import Literal

from rich.table import Table
from rich.text import Text

Column = tuple[str, Literal["left", "right", "center"]]


def table_of(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], *, title: str | None = None) -> Table:
    """Headings with their alignment, and rows of text without markup; the first column wraps on a narrow terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="bold")
    for number, (heading, justify) in enumerate(columns):
        table.add_column(Text(heading), justify=justify, no_wrap=number > 0, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table
