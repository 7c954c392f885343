"""What a child does for a real job: measure or inspect the model, and draw the default picture."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from erfscope_contract.advice import AdviceRequest
from erfscope_contract.architecture import Architecture
from erfscope_contract.fit import FitRequest
from erfscope_contract.parts import SHARD
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_contract.tiles import TilesRequest
from erfscope_engine.sampling import Sampler, sample
from erfscope_engine.shards import Merge, Split, Unlike, Watch
from erfscope_intake.advice import advise
from erfscope_intake.answer import Sources, answer, answer_part, inspect_model
from erfscope_intake.fit import fit
from erfscope_intake.onnx_library import registry
from erfscope_intake.tiles import tile
from erfscope_jobs.records import Kind
from erfscope_picture import render
from erfscope_worker.task import Outputs, Report, Task, data_roles

registry()  # loaded once, before children are forked


def measure(task: Task) -> Outputs:
    """An ErfRequest → result, picture and maps; or the wish that the job be split, or not be."""
    request, sources = asked(task)
    sampler, progress = sampling(task)
    try:
        found = answer(request, sources, progress, device=task.device, sampler=sampler)
    except Split as split:
        return Outputs(b"", parts=split.parts)
    except Unlike:
        return Outputs(b"", whole=True)
    task.report("render", 1.0)
    result = found.result.model_dump(mode="json")
    figure = render(found.map, result, title=title(task.payload), compact=True)
    return Outputs(found.result.model_dump_json().encode(), figure, found.arrays)


def measure_part(task: Task) -> Outputs:
    """A shard: the sums of some of the samples."""
    if task.sharding.part is None:
        raise ValueError("a shard without samples")
    request, sources = asked(task)
    try:
        return Outputs(b"", arrays=answer_part(request, sources, task.sharding.part, task.report, device=task.device))
    except Unlike:
        return Outputs(b"", whole=True)


def asked(task: Task) -> tuple[ErfRequest, Sources]:
    """What the payload asks, and its files."""
    return ErfRequest.model_validate(task.payload["request"]), Sources(
        task.files.get("model"), task.files.get("images"), data_of(task)
    )


def data_of(task: Task) -> dict[str, Path]:
    """The files that came with the model, by name; none means none, not those in the folder of the blob."""
    return {name: task.files[role] for name, role in data_roles(task.payload).items()}


def sampling(task: Task) -> tuple[Sampler, Report]:
    """How samples are taken: from shards that have ended, with an eye on the time, or simply."""
    sharding = task.sharding
    if sharding.merge:
        # Mapped: together they may be larger than the memory of a job, and each number is read once.
        parts = [
            {name: np.load(task.files[f"{n}.{name}"], mmap_mode="r") for name in SHARD} for n in range(sharding.merge)
        ]
        return Merge(parts).sampler, task.report
    if sharding.most > 1:
        watch = Watch(sharding.most, sharding.seconds)
        return watch.sampler, watch.progress(task.report)
    return sample, task.report


def title(payload: Mapping[str, Any]) -> str | None:
    """What a picture is called: the model's name."""
    return payload.get("name") or None


def inspect(task: Task) -> Outputs:
    """What is inside a model."""
    options = InputOptions.model_validate(task.payload.get("options") or {})
    model: Path | Architecture = task.files["model"]
    found = inspect_model(model, options, task.report, device=task.device, data=data_of(task))
    return Outputs(found.model_dump_json().encode())


def advise_on(task: Task) -> Outputs:
    """The smallest changes of a network that give a wanted receptive field."""
    return _answered(task, AdviceRequest, advise)


def tile_on(task: Task) -> Outputs:
    """Halo, alignment and crop of a network's tiles."""
    return _answered(task, TilesRequest, tile)


def fit_on(task: Task) -> Outputs:
    """Which heads and levels of a network hold which objects."""
    return _answered(task, FitRequest, fit)


def _answered(task: Task, shape: type[BaseModel], answer: Callable[..., BaseModel]) -> Outputs:
    """A question about a model, answered as JSON."""
    request = shape.model_validate(task.payload["request"])
    images = {role: path for role, path in task.files.items() if role == "images"}
    result = answer(request, task.files.get("model"), task.report, device=task.device, data=data_of(task), **images)
    return Outputs(result.model_dump_json().encode())


ACTS: dict[Kind, Callable[[Task], Outputs]] = {
    Kind.ERF: measure,
    Kind.INSPECT: inspect,
    Kind.ADVICE: advise_on,
    Kind.TILES: tile_on,
    Kind.FIT: fit_on,
    Kind.SHARD: measure_part,
}


def run(task: Task) -> Outputs:
    """The default runner."""
    return ACTS[task.kind](task)


def warm() -> None:
    """Draw a small picture, so that every child finds fonts and palettes loaded (30 ms of a small job).

    Numpy and pillow only: a child of a process that has run a torch operator hangs.
    """
    y, x = np.mgrid[-8:8, -8:8]
    blob = np.exp(-(y**2 + x**2) / 16.0)
    render(blob / blob.max(), _PLAIN, title="warm")


_PLAIN: Mapping[str, Any] = {
    "layer": {"name": "conv"},
    "unit": [8, 8],
    "trf": {"size": [5, 5], "box": [[6, 11]] * 2, "center": [8.0, 8.0], "global": False, "clipped": False},
    "erf": {"size": 4.5, "ratio": 0.9},
    "mass": {"0.50": {"side": 3.5}},
    "samples": {"used": 8},
    "provenance": {"statistic": "abs"},
}
