"""What a child does for a real job: measure or inspect the model, and draw the default picture."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from erfscope.contract.architecture import Architecture
from erfscope.contract.request import Dtype, ErfRequest, InputOptions
from erfscope_intake.answer import Sources, answer, inspect_model
from erfscope_jobs.records import Kind
from erfscope_picture import render
from erfscope_worker.task import Outputs, Task


def measure(task: Task) -> Outputs:
    """An ErfRequest → result, picture and map."""
    request = ErfRequest.model_validate(task.payload["request"])
    sources = Sources(task.files.get("model"), task.files.get("images"))
    found = answer(request, sources, task.report, device=task.device)
    task.report("render", 1.0)
    result = found.result.model_dump(mode="json")
    stored = found.map.astype(np.float64 if request.dtype is Dtype.FLOAT64 else np.float32)
    figure = render(found.map, result, title=title(task.payload))
    return Outputs(found.result.model_dump_json().encode(), figure, {"map": stored})


def title(payload: Mapping[str, Any]) -> str | None:
    """What a picture is called: the model's name."""
    return payload.get("name") or None


def inspect(task: Task) -> Outputs:
    """What is inside a model."""
    options = InputOptions.model_validate(task.payload.get("options") or {})
    model: Path | Architecture = task.files["model"]
    found = inspect_model(model, options, task.report, device=task.device)
    return Outputs(found.model_dump_json().encode())


ACTS: dict[Kind, Callable[[Task], Outputs]] = {Kind.ERF: measure, Kind.INSPECT: inspect}


def run(task: Task) -> Outputs:
    """The default runner."""
    return ACTS[task.kind](task)
