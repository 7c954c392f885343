"""The baseline along the commits of a branch, as git keeps it: which commit moved which metric."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from erfscope._errors import refuse
from erfscope.gate.baseline import Baseline, parse
from erfscope.gate.judge import Value

FORMAT = "%h%x09%cs%x09%s"  # commit, its date, its subject
SHALLOW = "this clone is shallow: it lacks the older commits"
DEEPEN = "Get them with `git fetch --unshallow` (in a workflow: `fetch-depth: 0` of actions/checkout)."


@dataclass(frozen=True)
class Step:
    """One metric of one measurement as a commit left it."""

    commit: str
    date: str
    subject: str
    model: str
    metric: str
    value: Value
    before: Value | None  # None where the metric was new


def history(file: Path, most: int) -> list[Step]:
    """Every change of a committed value in the last `most` commits of the file, the oldest first.

    Raises an ErfscopeError where the file is in no repository, was never committed, or the clone has one commit of it.
    """
    lines = _git(file, "log", f"--max-count={most}", f"--format={FORMAT}", "--", file.name).splitlines()
    if not lines:
        raise refuse("bad-request", f"{file} was never committed; run `erfscope check --update-baseline` and commit it")
    if len(lines) == 1 and is_shallow(file):
        raise refuse("bad-request", f"{SHALLOW}, and has one commit of {file}. {DEEPEN}")
    steps: list[Step] = []
    before: Baseline | None = None
    for line in reversed(lines):
        commit, date, subject = line.split("\t", 2)
        now = parse(file, _git(file, "show", f"{commit}:./{file.name}").encode())
        steps += _steps(before, now, (commit, date, subject))
        before = now
    return steps


def is_shallow(file: Path) -> bool:
    """Whether the repository of the file was cloned without its older commits."""
    return _git(file, "rev-parse", "--is-shallow-repository").strip() == "true"


def _steps(before: Baseline | None, now: Baseline, commit: tuple[str, str, str]) -> Iterator[Step]:
    """What a commit changed; of the first that is looked at, everything."""
    for entry in now.entries.values():
        old = before.values(entry.identity) if before else None
        for metric, one in entry.metrics.items():
            value, was = Value(one.value, one.stderr), (old or {}).get(metric)
            if was is None or was.value != value.value:
                yield Step(*commit, entry.model, metric, value, was)


def _git(file: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(file.parent), *words], capture_output=True, text=True, encoding="utf-8", check=True
        )
    except FileNotFoundError:
        raise refuse("bad-request", "the history of a baseline needs git, which is not installed") from None
    except subprocess.CalledProcessError as error:
        raise refuse("bad-request", f"git cannot tell the history of {file}: {error.stderr.strip()}") from None
    return done.stdout
