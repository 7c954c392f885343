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
from erfscope_contract.request import Weights
from erfscope_contract.text import for_terminal

Progress = Callable[[str, float], None]
TRAINED = "trained"
NAME = re.compile(r"(?P<name>[^=/\\:{}]+)=(?P<model>.+)")


@dataclass(frozen=True)
class Entry:
    """A model of a comparison under its name; `weights` is the word after the @, None where there is none."""

    prepared: Prepared
    name: str
    weights: str | None = None
    own: Mapping[str, Any] = field(default_factory=dict)  # fields of the request for this model alone

    @property
    def is_spec(self) -> bool:
        """Whether there are no weights in it: a spec, whose schemes draw them."""
        return self.prepared.ref is not None and self.prepared.ref.architecture is not None

    def is_drawn(self, weights: str | None) -> bool:
        """Whether its weights are drawn, where `weights` is the word for models that have none of their own."""
        word = self.weights or weights
        return self.is_spec or (word is not None and options.WEIGHTS[word].value != Weights.GIVEN)

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
    one = _entry(before, weights)
    if one.is_spec and weights == TRAINED:
        raise refuse(
            "bad-request",
            f"{text}: a spec has no trained weights, they are drawn; give the ONNX file of the trained network, or "
            f"{before}@random",
        )
    return one


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


def with_draws(entries: Sequence[Entry], fields: Mapping[str, Any], weights: str | None) -> list[Entry]:
    """Several draws are for the models whose weights are drawn; one with its own has as many samples of inputs alone.

    Where no model's weights are drawn the entries stay, and the request is refused.
    """
    draws = fields.get("draws") or 1
    if draws == 1 or not any(one.is_drawn(weights) for one in entries):
        return list(entries)
    inputs = fields.get("inputs")
    alone = {"draws": 1, **({"inputs": draws * inputs} if inputs else {})}
    return [one if one.is_drawn(weights) else replace(one, own={**one.own, **alone}) for one in entries]


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
