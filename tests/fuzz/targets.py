"""What is fuzzed, as functions of bytes: each may raise ProblemError and nothing else, in bounded time and memory.

`FUZZ_EXAMPLES=5000 pytest tests/fuzz` searches longer than the suite does.
"""

import contextlib
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, settings

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_intake.answer import Sources, answer
from erfscope_intake.images import load_images
from erfscope_intake.onnx_model import load_onnx
from erfscope_service.erf.submission import _checked
from erfscope_service.upload.form import Form
from erfscope_worker.child import is_out_of_memory

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
SECONDS = 20.0  # of CPU, for one input; a verdict takes milliseconds
MEMORY = 1 << 30  # bytes that one input may add to the process' peak

effort = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    derandomize="FUZZ_EXAMPLES" not in os.environ,  # the suite finds the same each time; a search looks elsewhere
)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """A verdict is welcome; anything else that is raised, and time or memory without bound, are not."""
    began, held = time.process_time(), peak()
    try:
        yield
    except ProblemError:
        pass
    except Exception as error:
        if not is_out_of_memory(error):  # an allocator that refuses: the child makes resource-limit of it
            raise
    assert time.process_time() - began < SECONDS
    assert peak() - held < MEMORY


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def onnx_bytes(data: bytes, folder: Path) -> None:
    """From a file to a network, and one run of it."""
    place = folder / "model.onnx"
    place.write_bytes(data)
    with bounded():
        network = load_onnx(place, InputOptions(), dtype=torch.float32, device=torch.device("cpu"))
        extents = (network.batch or 1, *network.input_shape)
        if all(extent <= 64 for extent in extents):
            network.run(torch.zeros(extents), lambda *_: None)


def request_bytes(data: bytes) -> None:
    """From a body to a checked request, as POST /erf reads it; what passes is measured where it is small."""
    with bounded():
        request = _checked(Form(model=None, name="", request=data))
        if is_small(request):
            answer(request, Sources())


def is_small(request: ErfRequest) -> bool:
    """Whether a request is worth running here: one sample of a small network of its own."""
    spec = request.model.architecture if request.model else None
    samples = request.average.inputs * request.average.weights
    return spec is not None and samples <= 2 and request.average.until is None and len(json.dumps(dump(request))) < 6000


def dump(request: ErfRequest) -> dict[str, Any]:
    """As JSON data."""
    return request.model_dump(mode="json")


def image_bytes(data: bytes, folder: Path, shape: tuple[int, int, int] = (3, 8, 8)) -> None:
    """From an image file to samples."""
    place = folder / "image"
    place.write_bytes(data)
    options = InputOptions.model_validate({"source": "images", "images": "0" * 64})
    with bounded():
        for image in load_images(place, shape, options):
            assert image.shape == shape
