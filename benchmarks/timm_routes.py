"""One network of timm measured on one route: in process, or as a file of one of torch's two exporters."""

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from benchmarks.children import in_child
from benchmarks.strided_chain import Place, chain_of, on_grid, run_with_graph
from benchmarks.timm_networks import Features, opened, plain
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest
from erfscope_contract.result import ErfResult
from erfscope_engine import measure
from erfscope_intake.answer import Sources, answer

ROUTES = ("module", "dynamo", "script")
EXPORT_LIMIT = 600.0  # seconds


@dataclass
class Row:
    """What one route gave; `refused` says in words why it gave nothing, `not_exported` why torch wrote no file for it.

    Pixels: trf, center, stride, erf; chain and chain_trf, the centre and the TRF by hand rules (None where they do not
    reach the layer, chain_trf also where positions are mixed).
    """

    family: str
    network: str
    route: str
    shape: tuple[int, ...] = ()
    parameters: int = 0
    redrawn: int = 0
    refused: str = ""
    not_exported: str = ""
    unfused: bool = False  # exported with timm's plain attention, since the exporter fails on the fused one
    layer: str = ""
    grid: tuple[int, ...] = ()
    unit: tuple[int, ...] = ()
    trf: tuple[int, ...] = ()
    is_global: bool = False
    center: tuple[float, ...] = ()
    stride: tuple[float | None, ...] = ()
    chain: tuple[float, ...] | None = None
    chain_trf: tuple[int, ...] | None = None
    erf: float | None = None
    verify: float | None = None
    autograd: tuple[str, ...] = ()
    passed_over: int = 0
    seconds: float = 0.0
    versions: str = ""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, list):  # as JSON has it
                setattr(self, name, tuple(value))


class NotExportedError(Exception):
    """Torch's exporter fails on the network; its words are the exporter's."""


def measured(row: dict[str, Any], inputs: int) -> dict[str, Any]:
    """The row of `network` on `route`, filled; it is the function of a child process."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # timm's deprecations, the exporters' remarks
    logging.disable(logging.WARNING)
    begun, filled = time.monotonic(), Row(**row)
    try:
        _fill(filled, *WAYS[filled.route](filled, inputs))
    except ProblemError as problem:
        filled.refused = f"{problem.kind}: {problem.problem.detail}"
    except NotExportedError as error:
        filled.not_exported = str(error)
    filled.seconds = round(time.monotonic() - begun, 1)
    return asdict(filled)


def _features(row: Row) -> Features:
    network = plain(row.network, row.shape[1], fused=not row.unfused)
    row.redrawn = opened(network)
    return Features(network).eval()


def _in_process(row: Row, inputs: int) -> tuple[ErfResult, Place | None]:
    module = _features(row)
    result = measure(module, row.shape, average={"inputs": inputs}, verify=True).result
    output, image = run_with_graph(module, row.shape)
    return result, chain_of(output, image)


def _by_file(dynamo: bool) -> Callable[[Row, int], tuple[ErfResult, None]]:
    def way(row: Row, inputs: int) -> tuple[ErfResult, None]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            _write(row, path, dynamo)
            request = ErfRequest.model_validate({"average": {"inputs": 1}, "verify": True})
            return answer(request, Sources(model=path), device="cpu").result, None

    return way


def _write(row: Row, path: Path, dynamo: bool) -> None:
    """Write the network's file, with plain attention where the exporter fails on the fused one.

    In processes of their own, which take the exporter's memory with them and may crash. Raises NotExportedError.
    """
    words = ""
    for row.unfused in (False, True):
        ending = in_child(_exported, asdict(row), path, dynamo, limit=EXPORT_LIMIT)
        if not ending.failure and not ending.value["words"]:
            row.redrawn = ending.value["redrawn"]
            return
        words = ending.words or ending.value["words"]
    raise NotExportedError(words)


def _exported(row: dict[str, Any], path: Path, dynamo: bool) -> dict[str, Any]:
    """What the exporter said of a row's network, nothing where it wrote the file, and how much was re-drawn."""
    filled = Row(**row)
    module = _features(filled)
    try:
        export(module, filled.shape, path, dynamo)
    except Exception as error:  # exporters raise whatever they like
        return {"words": " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__, "redrawn": 0}
    return {"words": "", "redrawn": filled.redrawn}


def export(module: nn.Module, shape: Sequence[int], path: Path, dynamo: bool) -> None:
    """Write `module` for one image of `shape` [C, H, W] as ONNX, by either exporter with its usual options."""
    options: dict[str, Any] = {"external_data": False} if dynamo else {}
    torch.onnx.export(module, (torch.randn(1, *shape),), path, dynamo=dynamo, verbose=False, **options)
    if len(list(path.parent.iterdir())) > 1:  # weights above 1.5 GB lie beside the file, whatever the options say
        onnx.save(onnx.load(path), path)


WAYS: dict[str, Callable[[Row, int], tuple[ErfResult, Place | None]]] = {
    "module": _in_process,
    "dynamo": _by_file(dynamo=True),
    "script": _by_file(dynamo=False),
}


def _fill(row: Row, result: ErfResult, chain: Place | None) -> None:
    layer, trf = result.layer, result.trf
    row.layer, row.grid = layer.name, tuple(layer.shape[axis] for axis in layer.spatial_axes)
    row.unit, row.trf, row.is_global = tuple(result.unit), tuple(trf.size), trf.is_global
    row.center, row.stride, row.erf = tuple(trf.center), tuple(trf.stride), result.erf.size
    row.verify = result.verify.relative_difference if result.verify else None
    row.autograd = tuple(f"{run.operator}: {run.why}" for run in result.provenance.autograd)
    row.passed_over = len(layer.passed_over)
    at = on_grid(chain, row.grid) if chain else None
    if at is not None and len(row.unit) == len(at):
        row.chain = tuple(float(axis.at(index)) for axis, index in zip(at, row.unit, strict=True))
        sizes = [axis.size for axis in at]
        row.chain_trf = tuple(size for size in sizes if size is not None) if None not in sizes else None
