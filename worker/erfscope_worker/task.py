"""What a child is given and what it gives back; the words that worker, zygote and child share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from erfscope_jobs.records import Kind, Part

FILE_ROLES = ("model", "images")  # fields of a payload that name a blob, and what the child calls it
FORK, SPAWN = "fork", "spawn"  # how a child begins: from the zygote's memory, or as a fresh interpreter
Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Sharding:
    """How a job is shared among workers: which samples it is about, or what of it others have measured."""

    part: Part | None = None  # a shard: these samples alone
    merge: int = 0  # so many shards have ended; their arrays are files of the roles `<n>.<name>`
    most: int = 1  # parts that the job may ask to be split into …
    seconds: float = 0.0  # … when its samples would take longer


@dataclass(frozen=True)
class Orders:
    """One job for one child, as it travels over the channel (JSON)."""

    kind: Kind
    payload: dict[str, Any]
    files: dict[str, str]  # by role (model, images): where the child may read it
    folder: str  # its empty working directory
    runner: str
    device: str
    threads: int
    seconds: float
    memory_bytes: int
    file_bytes: int
    sandbox: bool
    sharding: Sharding = Sharding()


@dataclass(frozen=True)
class Task:
    """One job as a runner sees it."""

    kind: Kind
    payload: Mapping[str, Any]
    files: Mapping[str, Path]
    device: str
    report: Report
    sharding: Sharding = Sharding()


@dataclass(frozen=True)
class Outputs:
    """What a runner found; instead of a result, `parts` asks for shards of these samples, `whole` for none."""

    result: bytes
    figure: bytes = b""
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    parts: Sequence[Part] = ()
    whole: bool = False


Runner = Callable[[Task], Outputs]


def data_roles(payload: Mapping[str, Any]) -> dict[str, str]:
    """What the child calls the files beside a model: a neutral role by the name that the model gives the file."""
    names = payload["parts"]["data"] if payload.get("parts") else ()
    return {name: f"data.{number}" for number, name in enumerate(sorted(names))}


def blobs_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """The blobs that a job reads, by what the child calls them."""
    named = {role: payload[role] for role in FILE_ROLES if payload.get(role)}
    if parts := payload.get("parts"):  # a model with files beside it: payload["model"] names them all together
        named["model"] = parts["model"]
        named |= {role: parts["data"][name] for name, role in data_roles(payload).items()}
    return named
