"""Outcomes as files: report.json for programs, report.md with pictures for people."""

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erfscope_contract.text import for_cell
from erfscope_contract.version import __version__
from erfscope_reproduce.finding import Row, Verdict
from erfscope_reproduce.run import Outcome

SCHEMA_VERSION = 1
SOURCE = (
    'W. Luo, Y. Li, R. Urtasun, R. Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural '
    'Networks", NIPS 2016 (arXiv 1701.04128)'
)


@dataclass(frozen=True)
class Place:
    """Where the parts go: a folder takes all; an .md file is the report itself, its pictures in images/ beside it."""

    report: Path
    folder: Path

    @classmethod
    def of(cls, output: Path) -> "Place":
        """What `-o` means."""
        if output.suffix == ".md":
            return cls(output, output.parent / "images" / output.stem)
        return cls(output / "report.md", output)

    @property
    def json(self) -> Path:
        """The report for programs."""
        return self.folder / "report.json"


def write(outcomes: Sequence[Outcome], place: Place, commands: str, *, quick: bool) -> None:
    """Write report.md, report.json and the pictures; `commands` has a line for each that made them."""
    place.folder.mkdir(parents=True, exist_ok=True)
    for outcome in outcomes:
        for picture in outcome.finding.pictures:
            (place.folder / f"{picture.name}.png").write_bytes(picture.png)
    body = as_json(outcomes, commands, quick=quick)
    place.json.write_text(json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    place.report.write_text(as_markdown(outcomes, place, commands, quick=quick), "utf-8")


def as_json(outcomes: Sequence[Outcome], commands: str, *, quick: bool) -> dict[str, Any]:
    """The whole report as one JSON object; numbers that do not exist are null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": commands,
        "quick": quick,
        "environment": environment(),
        "seconds": {outcome.claim.id: round(outcome.seconds, 1) for outcome in outcomes},
        "remarks": {outcome.claim.id: outcome.finding.remark for outcome in outcomes if outcome.finding.remark},
        "rows": [_row(row) for outcome in outcomes for row in outcome.finding.rows],
        "pictures": [
            {"id": outcome.claim.id, "file": f"{picture.name}.png", "caption": picture.caption}
            for outcome in outcomes
            for picture in outcome.finding.pictures
        ],
    }


def environment() -> dict[str, Any]:
    """What the numbers depend on."""
    import numpy
    import torch

    return {
        "erfscope": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "threads": torch.get_num_threads(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "claim": row.claim,
        "published": row.published,
        "ours": _number(row.ours.value),
        "error": _number(row.ours.error),
        "unit": row.unit,
        "verdict": row.verdict.value,
        "how": row.how,
        "note": row.note,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def as_markdown(outcomes: Sequence[Outcome], place: Place, commands: str, *, quick: bool) -> str:
    """The report for people."""
    parts = [_head(outcomes, commands, quick=quick), *(_section(outcome, place) for outcome in outcomes)]
    return "\n".join(parts)


def _head(outcomes: Sequence[Outcome], commands: str, *, quick: bool) -> str:
    counts = Counter(row.verdict for outcome in outcomes for row in outcome.finding.rows)
    told = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    made = environment()
    about = ", ".join(f"{name} {value}" for name, value in made.items())
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    kind = "A quick run: fewer repeats than the article's. " if quick else ""
    lines = [
        "# The article, reproduced",
        "",
        f"{SOURCE}, claim by claim, with the questions its readers asked and what came after it. "
        "Every number comes from "
        + ("these commands, the last one that names its claim:" if "\n" in commands else "one command:"),
        "",
        "```bash",
        commands,
        "```",
        "",
        f"{kind}{told.capitalize() if told else 'No rows'}. It took {minutes:.1f} minutes with {about}.",
        "",
        "A row is *confirmed* or *not confirmed* where two standard errors decide, *undecided* where they do not, "
        "*measured* where there is nothing to hold it against. ± is one standard error; what has none is exact or a "
        "single case.",
        "",
        "| | claim | answer |",
        "|---|---|---|",
    ]
    lines += [f"| [{o.claim.id}](#{_anchor(o)}) | {o.claim.title} | {_verdicts(o)} |" for o in outcomes]
    return "\n".join([*lines, ""])


def _verdicts(outcome: Outcome) -> str:
    counts = Counter(row.verdict for row in outcome.finding.rows)
    if len(counts) == 1:
        return next(iter(counts)).value
    return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])


def _anchor(outcome: Outcome) -> str:
    return outcome.claim.id.lower()


def _section(outcome: Outcome, place: Place) -> str:
    lines = [f'<a id="{_anchor(outcome)}"></a>', "", f"## {outcome.claim.id}: {outcome.claim.title}", ""]
    if outcome.finding.remark:
        lines += [outcome.finding.remark, ""]
    lines += ["| claim | published | ours | verdict | how |", "|---|---|---|---|---|"]
    lines += [_line(row) for row in outcome.finding.rows]
    for picture in outcome.finding.pictures:
        target = os.path.relpath(place.folder / f"{picture.name}.png", place.report.parent)
        lines += ["", f"![{picture.caption}]({target})", "", picture.caption]
    return "\n".join([*lines, ""])


def _line(row: Row) -> str:
    how = f"{for_cell(row.how)}<br>{for_cell(row.note)}" if row.note and row.how else for_cell(row.how or row.note)
    return (
        f"| {for_cell(row.claim)} | {for_cell(row.published)} | {for_cell(row.answer)} | {row.verdict.value} | {how} |"
    )
