"""Measuring in this process: the backend `local` that the SDK and the command line load (`erfscope.backends`)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel

from erfscope_contract.advice import AdviceRequest
from erfscope_contract.architecture import Architecture
from erfscope_contract.fit import FitRequest
from erfscope_contract.job import Inspection
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_contract.result import ErfResult
from erfscope_contract.tiles import TilesRequest
from erfscope_intake.advice import advise
from erfscope_intake.answer import Sources, answer, inspect_model
from erfscope_intake.fit import fit
from erfscope_intake.onnx_external import Sent
from erfscope_intake.tiles import tile

Progress = Callable[[str, float], None]

ANSWERERS: Mapping[type[BaseModel], Callable[..., BaseModel]] = {
    AdviceRequest: advise,
    TilesRequest: tile,
    FitRequest: fit,
}


def measure(
    request: ErfRequest, model: Path | None, images: Path | None, data: Sent, progress: Progress
) -> tuple[ErfResult, Mapping[str, NDArray[Any]]]:
    """The result of a request, and its arrays by name."""
    measured = answer(request, Sources(model=model, images=images, data=data), progress)
    return measured.result, measured.arrays


def inspect(model: Path | Architecture, options: InputOptions, data: Sent, progress: Progress) -> Inspection:
    """What is inside a model."""
    return inspect_model(model, options, progress, data=data)


def ask(request: BaseModel, model: Path | None, images: Path | None, data: Sent, progress: Progress) -> BaseModel:
    """The answer to a question about a model: how to change it, to tile it, to fit objects to its levels."""
    samples = {} if images is None else {"images": images}
    return ANSWERERS[type(request)](request, model, progress, data=data, **samples)
