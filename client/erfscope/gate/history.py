"""The baseline along the commits of a branch, as git keeps it: which commit moved which metric."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from erfscope._errors import refuse
from erfscope.gate import layers
from erfscope.gate.baseline import Baseline, Entry, parse
from erfscope.gate.git import is_shallow
from erfscope.gate.judge import Value

FORMAT = "%h%x09%cs%x09%an%x09%s"  # commit, its date, author and subject
SHALLOW = "this clone is shallow: it lacks the older commits"
DEEPEN = "Get them with `git fetch --unshallow` (in a workflow: `fetch-depth: 0` of actions/checkout)."


@dataclass(frozen=True)
class Step:
    """One metric of one measurement as a commit left it."""

    commit: str
    date: str
    subject: str
    model: str
    metric: str  # empty where the layers alone changed
    value: Value | None  # None where the metric is gone
    before: Value | None  # None where the metric was new
    change: str = ""  # which layers of the model the same commit changed
    author: str = ""

    @property
    def share(self) -> str:
        """`-42.7%`; empty where either value is missing or the former is 0."""
        was, now = (one.value if one else None for one in (self.before, self.value))
        return f"{(now - was) / abs(was):+.1%}" if was and now is not None else ""

    @property
    def is_gone(self) -> bool:
        """Whether the commit took it out of the baseline."""
        return self.value is None and self.before is not None


@dataclass(frozen=True)
class History:
    """The changes, and every model that the baseline had meanwhile."""

    steps: tuple[Step, ...]
    models: frozenset[str]


def history(file: Path, most: int) -> History:
    """Every change of a committed value by the last `most` commits of the file, the oldest first.

    Raises an ErfscopeError where the file is in no repository, was never committed, or the clone has one commit of it.
    """
    # One more than is told: what the oldest of them changed.
    lines = _git(file, "log", f"--max-count={most + 1}", f"--format={FORMAT}", "--", file.name).splitlines()
    if not lines:
        raise refuse("bad-request", f"{file} was never committed; run `erfscope check --update-baseline` and commit it")
    if len(lines) == 1 and is_shallow(file):
        raise refuse("bad-request", f"{SHALLOW}, and has one commit of {file}. {DEEPEN}")
    steps: list[Step] = []
    models: set[str] = set()
    before: Baseline | None = None
    for place, line in reversed(list(enumerate(lines))):
        commit, date, author, subject = line.split("\t", 3)
        now = parse(file, _git(file, "show", f"{commit}:./{file.name}").encode())
        if place < most:
            steps += _steps(before or Baseline(), now, (commit, date, subject), author)
        models |= {entry.model for entry in now.entries.values()}
        before = now
    return History(tuple(steps), frozenset(models))


def _steps(before: Baseline, now: Baseline, commit: tuple[str, str, str], author: str) -> Iterator[Step]:
    """What a commit changed."""
    yield from (replace(one, author=author) for one in _differing(before, now, commit))


def _differing(before: Baseline, now: Baseline, commit: tuple[str, str, str]) -> Iterator[Step]:
    for key, entry in now.entries.items():
        yield from _of_entry(before.entries.get(key), entry, commit)
    for key, entry in before.entries.items():
        if key not in now.entries:
            yield from (Step(*commit, entry.model, name, None, was) for name, was in _values(entry).items())


def _of_entry(old: Entry | None, new: Entry, commit: tuple[str, str, str]) -> Iterator[Step]:
    was, found = _values(old) if old else {}, _values(new)
    change = layers.changed(old.layers, new.layers).removesuffix(".") if old and old.layers else ""
    moved = [name for name in (*found, *(name for name in was if name not in found)) if _moved(name, was, found)]
    for name in moved or ([""] if change else []):
        yield Step(*commit, new.model, name, found.get(name), was.get(name), change)


def _moved(name: str, was: Mapping[str, Value], found: Mapping[str, Value]) -> bool:
    return name not in was or name not in found or was[name].value != found[name].value


def _values(entry: Entry) -> dict[str, Value]:
    return {name: Value(one.value, one.stderr) for name, one in entry.metrics.items()}


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
