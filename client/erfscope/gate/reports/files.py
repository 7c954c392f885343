"""The reports as files: which forms there are, and where each goes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from erfscope._files import trouble
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
        yield "--pictures", partial(pictures.write, report, wanted.pictures)
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
