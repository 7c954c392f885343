"""Measuring and inspecting in this process: the engine instead of a service. Imports torch when called."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from erfscope._errors import from_problem, refuse
from erfscope._job import Progress
from erfscope._models import Prepared
from erfscope._questions import ADVICE, FIT, TILES, Question, build, reference
from erfscope._request import with_model
from erfscope._result import Map, Origin, Result
from erfscope.contract.architecture import Architecture
from erfscope.contract.job import Inspection
from erfscope.contract.parts import MAP, select
from erfscope.contract.problem import ProblemError
from erfscope.contract.request import ErfRequest, InputOptions, ModelRef
from erfscope.contract.result import ErfResult

A = TypeVar("A", bound=BaseModel)


def measure(prepared: Prepared, request: ErfRequest, images: Path | None, progress: Progress) -> Result:
    """Answer a request here."""
    subject = _subject(prepared)
    from erfscope_intake.answer import Sources, answer

    path = subject if isinstance(subject, Path) else None
    ref = ModelRef(sha256=prepared.sha256) if path else prepared.ref
    sources = Sources(model=path, images=images, data=prepared.data_paths)
    measured = answer(with_model(request, ref), sources, progress)
    return Result(measured.result, _origin(measured.arrays, measured.result, prepared.name), name=prepared.name)


def inspect(prepared: Prepared, options: InputOptions, progress: Progress) -> Inspection:
    """List what is inside a model here."""
    subject = _subject(prepared)
    from erfscope_intake.answer import inspect_model

    return inspect_model(subject, options, progress, data=prepared.data_paths)


def ask(kind: Question[Any, A], prepared: Prepared, fields: Mapping[str, Any], progress: Progress) -> A:
    """Answer a question about a model (advice, tiles, fit) here."""
    subject = _subject(prepared)
    request = build(kind, reference(prepared), fields)
    path = subject if isinstance(subject, Path) else None
    answer: A = _answerer(kind)(request, path, progress, data=prepared.data_paths)
    return answer


def _answerer(kind: Question[Any, Any]) -> Callable[..., Any]:
    """What answers a kind of question; imports torch."""
    from erfscope_intake.advice import advise
    from erfscope_intake.fit import fit
    from erfscope_intake.tiles import tile

    answerers: dict[Question[Any, Any], Callable[..., Any]] = {ADVICE: advise, TILES: tile, FIT: fit}
    return answerers[kind]


def _subject(prepared: Prepared) -> Path | Architecture:
    source = None if prepared.content is None else prepared.content.source
    architecture = None if prepared.ref is None else prepared.ref.architecture
    if isinstance(source, Path):
        return source
    if architecture is not None:
        return architecture
    raise refuse("bad-request", f"{prepared.name} names a model that a service has; say which with --url")


def _origin(arrays: Mapping[str, Map], result: ErfResult, title: str) -> Origin[Map, bytes]:
    def array(unit: Sequence[int] | None, layer: str | None) -> Map:
        try:
            part = select(result, None if unit is None else ",".join(map(str, unit)), layer)
        except ProblemError as error:
            raise from_problem(error.problem) from None
        stack = arrays[part.array]
        row: Map = stack if part.index is None else stack[part.index]
        return row

    def picture(scale: str | None, colormap: str | None) -> bytes:
        from erfscope_picture import render

        given: dict[str, Any] = {"scale": scale, "colormap": colormap}
        chosen = {name: value for name, value in given.items() if value is not None}
        return render(arrays[MAP], json.loads(result.model_dump_json(by_alias=True)), title=title, **chosen)

    return Origin(array, picture)
