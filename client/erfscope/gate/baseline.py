"""The committed values that drift is judged against: a JSON file that diffs well."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from erfscope._files import trouble
from erfscope.gate.discovery import ConfigurationError
from erfscope.gate.judge import Value
from erfscope.gate.mends import UPDATE
from erfscope_contract.invalid import field_errors
from erfscope_contract.result import Number

SCHEMA_VERSION = 1
MARKER = b"<<<<<<< "  # of git, at the start of a line, where two branches are not merged yet
Identity = Mapping[str, Any]


class Committed(BaseModel):
    """One metric."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Number
    stderr: Number = None


class Entry(BaseModel):
    """One measurement: what was asked, of which model, and what was found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    request: dict[str, Any] = {}
    question: str = ""  # digest of what was measured, by which the cache may still have its picture
    layer: str = ""  # the layer that was measured
    samples: int
    metrics: dict[str, Committed]
    layers: dict[str, str] = {}  # what a drift is explained by: `layers.py`

    @property
    def identity(self) -> Identity:
        """What a run finds it by."""
        return {"model": self.model, "request": self.request}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int
    entries: list[Entry]


@dataclass(frozen=True)
class Baseline:
    """All entries, by identity."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def models(self) -> frozenset[str]:
        """The names of all models that it has."""
        return frozenset(entry.model for entry in self.entries.values())

    def values(self, identity: Identity) -> dict[str, Value] | None:
        """The committed metrics of a measurement; None where there are none."""
        entry = self.entry(identity)
        if entry is None:
            return None
        return {name: Value(one.value, one.stderr) for name, one in entry.metrics.items()}

    def entry(self, identity: Identity) -> Entry | None:
        """What was committed for a measurement."""
        return self.entries.get(_key(identity))

    def updated(self, fresh: list[Entry]) -> "Baseline":
        """With the fresh entries in it, each whole in place of its old one."""
        new: dict[str, Entry] = {}
        for entry in fresh:
            key = _key(entry.identity)
            known = new.get(key)  # two checks about one measurement
            new[key] = entry if known is None else entry.model_copy(update={"metrics": known.metrics | entry.metrics})
        return Baseline({**self.entries, **new})

    def without(self, stale: Callable[[Entry], bool]) -> "Baseline":
        """Without the entries that nothing asks for any more."""
        return Baseline({key: entry for key, entry in self.entries.items() if not stale(entry)})

    def dumps(self) -> str:
        """As the file is written: sorted, one value per line."""
        rows = [self.entries[key].model_dump(mode="json") for key in sorted(self.entries)]
        for row in rows:
            row["metrics"] = dict(sorted(row["metrics"].items()))
        return json.dumps({"schema_version": SCHEMA_VERSION, "entries": rows}, indent=2, ensure_ascii=False) + "\n"


def read(file: Path) -> Baseline:
    """The baseline; an empty one where there is no file. Raises ConfigurationError."""
    try:
        return parse(file, file.read_bytes()) if file.exists() else Baseline()
    except OSError as error:
        raise _unreadable(file, trouble(error)) from None


def parse(file: Path, content: bytes) -> Baseline:
    """The baseline in these bytes of `file`, as it is now or was once. Raises ConfigurationError."""
    if conflict := next((n for n, line in enumerate(content.splitlines(), 1) if line.startswith(MARKER)), 0):
        raise ConfigurationError(
            file,
            f"has a merge conflict. Resolve those of the models first. Then take either side of this file, for "
            f"example `git checkout --ours {file.name}`, and run `{UPDATE}`: it measures the merged models anew. "
            f"Compare with `git diff HEAD -- {file.name}`, and commit the file.",
            conflict,
        )
    try:
        found = _File.model_validate_json(content)
    except ValidationError as error:
        first = field_errors(error, None)[0]
        raise _unreadable(file, f"{first.pointer} {first.detail}".strip()) from None
    if found.schema_version != SCHEMA_VERSION:
        raise ConfigurationError(
            file, f"has schema_version {found.schema_version}, this erfscope reads {SCHEMA_VERSION}"
        )
    return Baseline({_key(entry.identity): entry for entry in found.entries})


def _unreadable(file: Path, why: str) -> ConfigurationError:
    return ConfigurationError(file, f"is not a baseline ({why}); write it anew with `{UPDATE}`")


def _key(identity: Identity) -> str:
    return json.dumps(identity, sort_keys=True)
