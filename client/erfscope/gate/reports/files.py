"""The reports as files: JSON with everything, pictures, the other forms, and where each goes."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from erfscope._files import trouble
from erfscope.gate.findings import Finding, Picture, Report
from erfscope.gate.reports import markdown, within
from erfscope.gate.reports.forges import gitlab, junit

SCHEMA_VERSION = 1


def as_json(report: Report) -> str:
    """One object: `result`, `exit_code`, and `findings` that say why; paths are from the configuration's folder."""
    return json.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "result": report.result,
            "exit_code": report.exit_code,
            "config": within(report.config, report),
            "measured": report.measured,
            "cached": report.cached,
            "counts": {verdict.value: count for verdict, count in sorted(report.counts.items())},
            "findings": [_finding(one, report) for one in report.findings],
            "notes": [asdict(one) for one in report.notes],
            "baseline": within(str(report.baseline), report) if report.baseline else None,
            "updates": list(report.updates),
        },
        indent=2,
        ensure_ascii=False,
    )


def _finding(finding: Finding, report: Report) -> dict[str, Any]:
    fields = {**asdict(finding), "file": within(finding.file, report), "mend": finding.remedy}
    return {name: value for name, value in fields.items() if name != "undo"}


LONGEST = 60  # letters of a name; the digest keeps names apart


def write_pictures(report: Report, folder: Path) -> list[Path]:
    """One file per measurement, by model, layer and the start of the question's digest; `-change`: with the former."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_picture(picture, folder) for picture in report.pictures]


def _write_picture(picture: Picture, folder: Path) -> Path:
    words = (_slug(Path(picture.model).stem if "/" in picture.model else picture.model), _slug(picture.layer))
    path = folder / f"{'-'.join((*words, picture.digest[:8], *['change'] * picture.is_change))}.png"
    path.write_bytes(picture.content)
    return path


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:LONGEST] or "x"


SUMMARY = "GITHUB_STEP_SUMMARY"

# Field of `Wanted` → the file's content.
FORMS: Mapping[str, Callable[[Report, Mapping[str, str]], bytes]] = {
    "junit": lambda report, environment: junit(report),
    "markdown": lambda report, environment: markdown.render(report, environment).encode(),
    "gitlab": lambda report, environment: gitlab(report, environment).encode(),
    "report": lambda report, environment: as_json(report).encode() + b"\n",
}


@dataclass(frozen=True)
class Wanted:
    """The paths that were asked for."""

    junit: Path | None = None
    markdown: Path | None = None
    gitlab: Path | None = None
    report: Path | None = None
    pictures: Path | None = None


@dataclass(frozen=True)
class Written:
    """What was written, and why the rest was not: one file's trouble is not another's."""

    paths: tuple[Path, ...]
    troubles: tuple[str, ...]


def write(report: Report, wanted: Wanted, environment: Mapping[str, str]) -> Written:
    """Write them, and append to the step summary where GitHub offers one."""
    paths: list[Path] = []
    troubles: list[str] = []
    for name, task in _tasks(report, wanted, environment):
        try:
            paths += task()
        except OSError as error:
            troubles.append(f"{name}: {trouble(error)}")
    return Written(tuple(paths), tuple(troubles))


def _tasks(
    report: Report, wanted: Wanted, environment: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], Sequence[Path]]]]:
    """What to write, by the option or variable that asked for it."""
    for form, render in FORMS.items():
        path: Path | None = getattr(wanted, form)
        if path is not None:
            yield f"--{form}", partial(_put, path, render(report, environment))
    if wanted.pictures is not None:
        yield "--pictures", partial(write_pictures, report, wanted.pictures)
    if summary := environment.get(SUMMARY):
        yield SUMMARY, partial(_append, Path(summary), markdown.render(report) + "\n")


def _put(path: Path, content: bytes) -> Sequence[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return [path]


def _append(path: Path, text: str) -> Sequence[Path]:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    return []  # the forge shows it; nobody looks for the file
