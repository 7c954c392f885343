"""Measuring and inspecting in this process: a backend instead of a service. It is loaded (torch) when called."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from erfscope._backend import Backend, backend
from erfscope._errors import from_problem, refuse
from erfscope._job import Progress
from erfscope._models import Prepared
from erfscope._questions import Question, build, on_images, reference
from erfscope._request import with_model
from erfscope._result import Map, Origin, Result
from erfscope_contract.architecture import Architecture
from erfscope_contract.hashing import sha256_of
from erfscope_contract.job import Inspection
from erfscope_contract.parts import IMAGE, MAP, NO_IMAGE, select
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions, ModelRef
from erfscope_contract.result import ErfResult

A = TypeVar("A", bound=BaseModel)


def measure(prepared: Prepared, request: ErfRequest, images: Path | None, progress: Progress) -> Result:
    """Answer a request here."""
    path = _file(prepared)
    ref = ModelRef(sha256=prepared.sha256) if path else prepared.ref
    result, arrays = _loaded(progress).measure(with_model(request, ref), path, images, prepared.data_paths, progress)
    return Result(result, origin_of(arrays, result, prepared.name), name=prepared.name)


def inspect(prepared: Prepared, options: InputOptions, progress: Progress) -> Inspection:
    """List what is inside a model here."""
    return _loaded(progress).inspect(_subject(prepared), options, prepared.data_paths, progress)


def ask(
    kind: Question[Any, A],
    prepared: Prepared,
    fields: Mapping[str, Any],
    progress: Progress,
    images: Path | None = None,
) -> A:
    """Answer a question about a model (advice, tiles, fit) here, on these images where there are any."""
    path = _file(prepared)
    request = build(kind, reference(prepared), on_images(fields, sha256_of(images) if images else None))
    return kind.answer.model_validate(_loaded(progress).ask(request, path, images, prepared.data_paths, progress))


def _loaded(progress: Progress) -> Backend:
    """The backend; what takes seconds the first time is said."""
    if "torch" not in sys.modules:
        progress("loading PyTorch", 0.0)
    return backend()


def _file(prepared: Prepared) -> Path | None:
    """The ONNX file; None for a spec."""
    subject = _subject(prepared)
    return subject if isinstance(subject, Path) else None


def _subject(prepared: Prepared) -> Path | Architecture:
    source = None if prepared.content is None else prepared.content.source
    architecture = None if prepared.ref is None else prepared.ref.architecture
    if isinstance(source, Path):
        return source
    if architecture is not None:
        return architecture
    raise refuse("bad-request", f"{prepared.name} names a model that a service has; say which with --url")


def origin_of(arrays: Mapping[str, Map], result: ErfResult, title: str) -> Origin[Map, bytes]:
    """Where a result of this process has its arrays from, and its pictures."""

    def array(unit: Sequence[int] | None, layer: str | None) -> Map:
        try:
            part = select(result, None if unit is None else ",".join(map(str, unit)), layer)
        except ProblemError as error:
            raise from_problem(error.problem) from None
        stack = arrays[part.array]
        row: Map = stack if part.index is None else stack[part.index]
        return row

    def picture(scale: str | None, colormap: str | None, overlay: bool) -> bytes:
        from erfscope_picture import render

        options: dict[str, Any] = {"scale": scale, "colormap": colormap}
        if overlay and IMAGE not in arrays:
            raise refuse("not-found", NO_IMAGE)
        options["overlay"] = arrays[IMAGE] if overlay else None
        chosen = {name: value for name, value in options.items() if value is not None}
        return render(arrays[MAP], json.loads(result.model_dump_json(by_alias=True)), title=title, **chosen)

    return Origin(array, picture)
