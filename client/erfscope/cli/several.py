"""Several models measured under one request, each with its weights, here or by a service."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from erfscope import _local
from erfscope._client import Client
from erfscope._errors import refuse
from erfscope._models import Prepared, prepare
from erfscope._request import build
from erfscope._result import Result
from erfscope.cli import options
from erfscope_contract.hashing import sha256_of
from erfscope_contract.text import for_terminal

Progress = Callable[[str, float], None]
NAME = re.compile(r"(?P<name>[^=/\\:{}]+)=(?P<model>.+)")


@dataclass(frozen=True)
class Entry:
    """A model of a comparison under its name; `weights` is the word after the @, None where there is none."""

    prepared: Prepared
    name: str
    weights: str | None = None
    own: Mapping[str, str] = field(default_factory=dict)  # fields of the request for this model alone

    @property
    def fields(self) -> dict[str, Any]:
        """What this model's request has beside the common one."""
        return {**self.own, **({} if self.weights is None else {"weights": options.WEIGHTS[self.weights].value})}


def entry(text: str) -> Entry:
    """`net.onnx`, `net.onnx@random` for other weights, `NAME=net.onnx` to name it.

    A file that has an @ or a = in its name is that file.
    """
    before, at, weights = text.rpartition("@")
    if not at or Path(text).is_file() or Path(_named(text)[1]).is_file():
        return _entry(text, None)
    if weights not in options.WEIGHTS:
        raise refuse("bad-request", f"{text}: there are no weights {weights!r}; there are {', '.join(options.WEIGHTS)}")
    return _entry(before, weights)


def _entry(text: str, weights: str | None) -> Entry:
    name, model = _named(text)
    prepared = prepare(model)
    return Entry(prepared, name or prepared.name, weights)


def _named(text: str) -> tuple[str | None, str]:
    """`NAME=model` in its parts; None where there is no name."""
    parts = None if Path(text).is_file() else NAME.fullmatch(text)
    return (parts["name"].strip(), parts["model"]) if parts else (None, text)


def with_own(entries: Sequence[Entry], name: str, values: Sequence[str], flag: str) -> list[Entry]:
    """Entries with the field `name` of their requests: VALUE is of every model, MODEL=VALUE of the model of that name.

    A text whose part before the = is not a model's name is a VALUE, because layers of ONNX files may have one.
    """
    names = [one.name for one in entries]
    common, own = [], {}
    for text in values:
        model, _, value = text.partition("=")
        if value and model in names:
            own[model] = value
        else:
            common.append(text)
    if len(common) > 1:
        raise refuse(
            "bad-request",
            f"{flag} is given {len(common)} times without a model ({', '.join(common)}); give it once for all models, "
            f"and as {flag} NAME=VALUE for one of {', '.join(names)}",
        )
    every = {name: common[0]} if common else {}
    return [
        replace(one, own={**one.own, **every, **({name: own[one.name]} if one.name in own else {})}) for one in entries
    ]


def measure_all(
    entries: Sequence[Entry], fields: Mapping[str, Any], images: Path | None, client: Client | None, progress: Progress
) -> list[Result]:
    """One result per model, in order."""
    if client is None:
        digest = sha256_of(images) if images else None
        return [
            _local.measure(
                one.prepared, build(None, {**fields, **one.fields}, digest), images,
                partial(_part, progress, n, len(entries)),
            )
            for n, one in enumerate(entries)
        ]  # fmt: skip
    jobs = [
        client.submit(_sent(one.prepared), images=images, **{**fields, **one.fields}) for one in entries
    ]  # all are at work before the first is waited for
    print(f"jobs {', '.join(job.id for job in jobs)}", file=sys.stderr)
    for note in dict.fromkeys(job.job.note for job in jobs if job.job.note):
        print(f"note: {for_terminal(note)}", file=sys.stderr)
    return [job.result(progress=partial(_part, progress, n, len(jobs))) for n, job in enumerate(jobs)]


def _sent(model: Prepared) -> Any:
    return model.ref if model.content is None else model.content.source


def _part(progress: Progress, n: int, of: int, stage: str, share: float) -> None:
    progress(stage, (n + share) / of)
