"""Fixtures: small models made here, run through the intake, and judged by onnxruntime."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from erfscope_intake.onnx_audit import audited
from erfscope_intake.onnx_behind import Behind
from erfscope_intake.onnx_build import build
from erfscope_intake.onnx_external import DataFiles
from erfscope_intake.onnx_graph import Build, finish
from erfscope_intake.onnx_names import renamed
from erfscope_intake.onnx_run import Walk
from erfscope_intake.onnx_summary import versions_of
from erfscope_intake.onnx_tensors import to_torch

Arrays = Mapping[str, Any]
CPU = torch.device("cpu")


def _evaluate(model: ModelProto, feeds: Arrays, *, follow: Sequence[str] = ()) -> list[Any]:
    model = audited(model)
    graph, names = renamed(model.graph)
    neutral = {names.values[value.name]: value.name for value in graph.input}
    tensors = {neutral[name]: _tensor(array) for name, array in feeds.items()}
    followed = {neutral[name] for name in follow}
    state = Build(
        names, versions_of(model), Behind(graph, DataFiles()), torch.float32,
        constants={name: value for name, value in tensors.items() if name not in followed},
        follows=set(followed), shaped=set(),
    )  # fmt: skip
    program = build(graph, state)
    finish(program, state, CPU)
    walk = Walk(program, names.values, torch.float32, CPU)
    outputs = walk.run({name: tensors[name] for name in followed}, lambda *_: None)
    return [outputs.get(name) for name in program.outputs]


def _tensor(array: Any) -> Any:
    if isinstance(array, list):
        return [_tensor(one) for one in array]
    proto = array if isinstance(array, TensorProto) else numpy_helper.from_array(np.asarray(array))
    return to_torch(proto)


@pytest.fixture
def evaluate() -> Callable[..., list[Any]]:
    """evaluate(model, feeds, follow=names): outputs; what is followed counts as the measured input (None: lost)."""
    return _evaluate


@pytest.fixture
def reference() -> Callable[[ModelProto, Arrays], list[Any]]:
    """What onnxruntime says."""

    def run(model: ModelProto, feeds: Arrays) -> list[Any]:
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        return list(session.run(None, dict(feeds)))

    return run


@pytest.fixture
def make() -> Callable[..., ModelProto]:
    """make(nodes, inputs, outputs, weights, opset): a model; inputs are {name: shape} of float32."""

    def made(
        nodes: Sequence[Any],
        inputs: Mapping[str, Sequence[Any] | None],
        outputs: Sequence[str],
        weights: Mapping[str, Any] | None = None,
        opset: int = 17,
        domains: Mapping[str, int] | None = None,
    ) -> ModelProto:
        def value(name: str, shape: Sequence[Any] | None) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        given = weights or {}
        tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in given.items()]
        graph = helper.make_graph(
            list(nodes),
            "net",
            [value(name, shape) for name, shape in inputs.items()],
            [value(name, None) for name in outputs],
            tensors,
        )
        imports = [helper.make_opsetid("", opset)]
        imports += [helper.make_opsetid(name, version) for name, version in (domains or {}).items()]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)

    return made


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[ModelProto | bytes], Path]:
    """Write a model to a file."""

    def save(model: ModelProto | bytes) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return save
