"""What measures in this process: a backend that another package offers as an entry point of group `erfscope.backends`.

So nothing here imports torch or the packages above, and what is installed decides what can be done without a service.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from pydantic import BaseModel

from erfscope._errors import refuse
from erfscope_contract.architecture import Architecture
from erfscope_contract.importing import uncollected
from erfscope_contract.job import Inspection
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_contract.result import ErfResult

GROUP = "erfscope.backends"
Progress = Callable[[str, float], None]
Files = Mapping[str, Path]


class Backend(Protocol):
    """What a backend does. `model` is the ONNX file, None where the request holds a spec; `data` are the files that
    came with it, by name; `progress` is called with a stage and the share that is done. Raises ProblemError for
    everything that is the request's or the model's fault."""

    def measure(
        self, request: ErfRequest, model: Path | None, images: Path | None, data: Files, progress: Progress
    ) -> tuple[ErfResult, Mapping[str, NDArray[Any]]]:
        """The result, and its arrays by name (`map`, and `units` and `layers` where the result has them)."""
        ...

    def inspect(self, model: Path | Architecture, options: InputOptions, data: Files, progress: Progress) -> Inspection:
        """What is inside a model."""
        ...

    def ask(
        self, request: BaseModel, model: Path | None, images: Path | None, data: Files, progress: Progress
    ) -> BaseModel:
        """The answer to a question about a model: an AdviceRequest, a TilesRequest, a FitRequest."""
        ...


@cache
def backend(name: str = "local") -> Backend:
    """The backend of that name, loaded; raises an ErfscopeError where none is installed."""
    for offered in entry_points(group=GROUP, name=name):
        with uncollected():
            loaded: Backend = offered.load()
        return loaded
    raise refuse(
        "unsupported-feature",
        "no backend that measures in this process is installed. Install one with:  pip install 'erfscope[local]'  "
        "or name a service with --url or ERFSCOPE_URL",
    )
