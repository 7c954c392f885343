"""What the load asks: small networks whose answers are known from a calm run, and inputs that must be refused."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2
import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIDE = 16
LONG = 3000  # samples of a job that runs long enough to be killed in its middle


@dataclass(frozen=True)
class Question:
    """One measurement; `salted` asks it anew: another question to the ledger, with the same bytes as its answer."""

    name: str
    form: Callable[[str], dict[str, Any]]  # salt → arguments of httpx2's post

    def salted(self, salt: str) -> dict[str, Any]:
        """Arguments of a POST that the service has not seen."""
        return self.form(salt)


@dataclass(frozen=True)
class Bad:
    """An input that must be refused: at once with `status`, or (202) as a failed job with that problem `kind`."""

    name: str
    kind: str
    status: int
    form: Callable[[str], dict[str, Any]]


def spec(salt: str, depth: int, seed: int, inputs: int, **more: Any) -> dict[str, Any]:
    """`depth` 3×3 convolutions on 16 × 16; the salt is the network's name, which no number depends on."""
    layers = [{"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}, {"type": "relu"}] * depth
    network = {"name": salt, "input": {"channels": 3, "size": [SIDE, SIDE]}, "layers": layers}
    average = {"inputs": inputs, "seed": seed}
    return {"json": {"model": {"architecture": network}, "average": average, **more}}


def onnx_file(salt: str, seed: int) -> bytes:
    """One convolution; the salt is the producer's name."""
    weights = np.random.default_rng(seed).standard_normal((4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1] * 4)],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, SIDE, SIDE])],
        [numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name=salt)
    return bytes(model.SerializeToString())


def upload(content: bytes, request: Mapping[str, Any]) -> dict[str, Any]:
    """A form with a model and a request."""
    return {
        "files": {
            "model": ("net.onnx", content, "application/octet-stream"),
            "request": (None, json.dumps(request), "application/json"),
        }
    }


def onnx_job(salt: str, seed: int) -> dict[str, Any]:
    """The file of that seed, measured with two samples."""
    return upload(onnx_file(salt, seed), {"average": {"inputs": 2}})


def catalogue() -> list[Question]:
    """Every question that the load may ask."""
    short = [
        Question(f"spec-{d}-{seed}", partial(spec, depth=d, seed=seed, inputs=2))
        for d in (1, 2, 3)
        for seed in range(4)
    ]
    files = [Question(f"onnx-{seed}", partial(onnx_job, seed=seed)) for seed in range(3)]
    return [*short, *files, Question("long", partial(spec, depth=3, seed=9, inputs=LONG))]


def _broken_shape(salt: str) -> dict[str, Any]:
    asked = spec(salt, 1, 0, 2)
    asked["json"]["model"]["architecture"]["layers"][0]["kernel_size"] = 99
    return asked


BAD = [
    Bad(
        "layer that is not there", "invalid-target", 202, lambda salt: spec(salt, 2, 0, 2, target={"layer": "no-such"})
    ),
    Bad("unit outside", "invalid-target", 202, lambda salt: spec(salt, 2, 0, 2, target={"unit": [999, 999]})),
    Bad("random bytes as a model", "invalid-model", 202, lambda salt: upload(salt.encode() * 40, {})),
    Bad("unknown field", "invalid-request", 422, lambda salt: spec(salt, 1, 0, 2, colour="red")),
    Bad("shapes that do not fit", "invalid-architecture", 422, _broken_shape),
    Bad("no JSON", "bad-request", 400, lambda salt: {"content": b"{", "headers": {"content-type": "application/json"}}),
    Bad(
        "wrong media type",
        "unsupported-media-type",
        415,
        lambda salt: {"content": b"<x/>", "headers": {"content-type": "text/xml"}},
    ),
    Bad("a body over the limit", "too-large", 413, lambda salt: {"json": {"model": "x" * (1 << 21)}}),
]


def refusal(response: httpx2.Response) -> str:
    """The problem type of an error response; empty when it is no problem+json."""
    if response.headers.get("content-type") != "application/problem+json":
        return ""
    kind: str = response.json().get("type", "").rpartition("/")[2]
    return kind
