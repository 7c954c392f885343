"""The reports as files: which forms there are, and where each goes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from erfscope.gate.findings import Report
from erfscope.gate.reports import gitlab, junit, machine, markdown, pictures

SUMMARY = "GITHUB_STEP_SUMMARY"

# Field of `Wanted` → the file's content.
FORMS: Mapping[str, Callable[[Report, Mapping[str, str]], bytes]] = {
    "junit": lambda report, environment: junit.render(report),
    "markdown": lambda report, environment: markdown.render(report).encode(),
    "gitlab": lambda report, environment: gitlab.render(report, environment).encode(),
    "report": lambda report, environment: machine.render(report).encode() + b"\n",
}


@dataclass(frozen=True)
class Wanted:
    """The paths that were asked for."""

    junit: Path | None = None
    markdown: Path | None = None
    gitlab: Path | None = None
    report: Path | None = None
    pictures: Path | None = None


def write(report: Report, wanted: Wanted, environment: Mapping[str, str]) -> list[Path]:
    """Write them, and append to the step summary where GitHub offers one; the paths that were written."""
    written = []
    for form, render in FORMS.items():
        path: Path | None = getattr(wanted, form)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(render(report, environment))
            written.append(path)
    if wanted.pictures is not None:
        written += pictures.write(report, wanted.pictures)
    if summary := environment.get(SUMMARY):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(markdown.render(report) + "\n")
    return written
