"""An answer of several tables and sentences: printed, as JSON, and as files by their endings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.table import Table
from typer import Option

from erfscope.cli import options, show, values
from erfscope_contract.text import for_markdown
from erfscope_contract.untrained import is_on_training

Part = Table | Sequence[str]  # what a terminal shows in this order: tables, and lines of text
FORMS = (".json", ".md", ".csv")
Outputs = Annotated[
    list[Path] | None,
    Option(
        "-o",
        "--output",
        help="File to write; its ending is its format: .json (all of the answer), .md (what is "
        "printed) or .csv (the numbers of its table); may be given several times (default: none).",
        rich_help_panel=options.OUTPUT,
    ),
]


def check(outputs: Sequence[Path] | None) -> None:
    """Before anything is measured: whether the files can be written."""
    for path in outputs or ():
        values.check_output(path, FORMS)


def with_notes(parts: Sequence[Part], notes: Sequence[str]) -> list[Part]:
    """The parts, a note on untrained weights before them, for it is about all numbers, and the other notes behind."""
    first = [f"note: {note}" for note in notes if is_on_training(note)]
    rest = [f"note: {note}" for note in notes if not is_on_training(note)]
    return [part for part in (first, *parts, rest) if not isinstance(part, list) or part]


@dataclass(frozen=True)
class Texts:
    """One answer in each form; `parts` are printed with a blank line between them."""

    title: str
    parts: Sequence[Part]
    json: str
    csv: str
    written: Sequence[Part] | None = None  # what a file says, where that is more than a terminal shows

    def of(self, ending: str) -> str:
        """What a file of this ending holds."""
        if ending == ".json":
            return f"{self.json}\n"
        return self.csv if ending == ".csv" else _markdown(self.title, self.written or self.parts)


def give(texts: Texts, outputs: Sequence[Path] | None, *, as_json: bool, wrote: Sequence[Path] = ()) -> None:
    """Write the files, and print the parts and what was written, or the JSON alone."""
    for path in outputs or ():
        path.write_text(texts.of(path.suffix.lower()), "utf-8")
    if as_json:
        print(texts.json)
        return
    out = show.console()
    files = [f"wrote {path}" for path in (*wrote, *(outputs or ()))]
    for number, part in enumerate([*texts.parts, *([files] if files else [])]):
        if number:
            show.print_lines(out, [""])
        if isinstance(part, Table):
            out.print(part)
        else:
            show.print_lines(out, part)


def _markdown(title: str, parts: Sequence[Part]) -> str:
    blocks = [f"# {for_markdown(title)}"]
    for part in parts:
        if isinstance(part, Table):
            blocks += _pipes(part)
        else:
            blocks += [for_markdown(line) for line in part if line]
    return "\n\n".join(blocks) + "\n"


def _pipes(table: Table) -> list[str]:
    """The table in GitHub's Markdown, its title in bold above it."""
    heads = [str(column.header) for column in table.columns]
    rules = {"left": "---", "right": "--:", "center": ":-:"}
    rows = zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True)
    first, *rest = [f"| {' | '.join(map(for_markdown, row))} |" for row in (heads, *rows)]
    lines = [first, f"| {' | '.join(rules.get(column.justify, '---') for column in table.columns)} |", *rest]
    return [*([f"**{for_markdown(str(table.title))}**"] if table.title else []), "\n".join(lines)]
