"""A question about a model, answered by a service or in this process."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from erfscope import _local
from erfscope._client import settings
from erfscope._models import Prepared
from erfscope._questions import Question, ask
from erfscope._transport import Transport
from erfscope.cli.progress import progress_bar
from erfscope_contract.numbers import digits
from erfscope_contract.untrained import is_on_training

RANDOM = "random"
TYPED = 15  # digits of a number in a command
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
A = TypeVar("A", bound=BaseModel)


def modules_of(prepared: Prepared) -> dict[str, str]:
    """Torch's module by tensor, of an ONNX file whose exporter wrote it down."""
    from erfscope.gate.windows import modules

    source = None if prepared.content is None else prepared.content.source
    return modules(source) if isinstance(source, bytes | Path) else {}


def calls_numbered(modules: Mapping[str, str], layers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """`modules` with which call each layer (name, operator) is of a module that has several: `head (call 2 of 3)`.

    Only of operators with weights, of which torch's modules have one; of any other a module may have several.
    """
    calls = dict[str, list[str]]()
    for name, operator in layers:
        if operator in WEIGHTED and name in modules:
            calls.setdefault(modules[name], []).append(name)
    numbers = {
        name: f"{module} (call {number} of {len(names)})"
        for module, names in calls.items()
        for number, name in enumerate(names, start=1)
        if len(names) > 1
    }
    return {**modules, **numbers}


def flags_of(options: Mapping[str, Any]) -> str:
    """Options of a command as they were typed, for the next command that it prints."""
    texts = {
        name: digits(value, TYPED) if isinstance(value, float) else str(value)
        for name, value in options.items()
        if value is not None
    }
    return "".join(f" {name} {shlex.quote(text)}" for name, text in texts.items())


def next_weights(weights: str | None, notes: Sequence[str]) -> str | None:
    """The --weights of the next command: the word of this one, and random ones for weights that look untrained."""
    if weights is None and any(map(is_on_training, notes)):
        return RANDOM
    return weights


def answered(
    kind: Question[Any, A],
    prepared: Prepared,
    fields: Mapping[str, Any],
    url: str | None,
    api_key: str | None,
    images: Path | None = None,
    heard: Callable[[str], None] | None = None,
) -> A:
    """The answer to `kind`, on these images where there are any; with a `url` the service there gives it.

    `heard` is called with every stage.
    """
    with progress_bar(f"looking at {prepared.name}") as update:

        def progress(stage: str, share: float) -> None:
            update(stage, share)
            if heard is not None:
                heard(stage)

        if not url:
            return _local.ask(kind, prepared, fields, progress, images)
        source = prepared.ref if prepared.content is None else prepared.content.source
        with closing(Transport(settings(url, api_key))) as transport:
            flow = ask(transport.settings, kind, source, fields, timeout=None, progress=progress, images=images)
            return transport.drive(flow)
