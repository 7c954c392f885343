"""One ONNX file through the real intake and engine, and judged: by onnxruntime and by plain full autograd."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.strided_chain import chain_of, on_grid
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_engine import Measurement, measure_network
from erfscope_engine.plan import Plan, center_place, plan_for
from erfscope_engine.samples import draw, signs
from erfscope_intake.answer import Answer, Sources, answer
from erfscope_intake.onnx_model import Opened, load_onnx, open_onnx

FORWARD_TOLERANCE = 1e-3  # relative L2, float32, against onnxruntime
NEAR = 0.5  # pixels, of the unit's centre from the strided chain's
ROUNDING = 2e-2  # the same for quantised files: onnxruntime rounds, we do not
GRADIENT_TOLERANCE = 1e-6  # relative L2 of the map, float64, against autograd through the whole network
FEW, USUAL = 2, 32  # samples
SEED = 7
UINT8 = 2
CPU = torch.device("cpu")


@dataclass
class Outcome:
    """What became of one file; `verdict` is "measured", a problem's kind, or CRASH or HANG."""

    file: str
    verdict: str = "measured"
    detail: str = ""
    input_shape: tuple[int, ...] = ()
    batch: int | None = None
    forward: float | None = None  # relative error of the worst output
    reference: str = ""  # who said so, or why nobody could
    layer: str = ""
    operator: str = ""
    layer_shape: tuple[int, ...] = ()
    layers: int = 0
    trf: tuple[int, ...] = ()
    is_global: bool = False
    center: tuple[float, ...] = ()
    chain: tuple[float, ...] | None = None  # the centre by hand rules (benchmarks.strided_chain); None where they end
    erf: float | None = None
    channels: str = ""
    samples: int = 0
    gradient: float | None = None  # relative error of the map
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Measured on a spatial layer, with the numbers of onnxruntime (where it runs the file) and of autograd."""
        tolerance = ROUNDING if "quantised" in self.detail else FORWARD_TOLERANCE
        forward = self.forward is None or self.forward < tolerance
        near = self.chain is None or all(abs(a - b) <= NEAR for a, b in zip(self.center, self.chain, strict=True))
        return self.verdict == "measured" and forward and near and (self.gradient or 0.0) < GRADIENT_TOLERANCE


def examine(path: Path) -> dict[str, Any]:
    """The Outcome of one file, as a dictionary."""
    torch.set_num_threads(1)
    start = time.monotonic()
    outcome = Outcome(path.name)
    for part in (_forward, _measure, _gradient, _center):
        try:
            part(path, outcome)
        except ProblemError as problem:
            if outcome.verdict == "measured":
                outcome.verdict, outcome.detail = problem.kind, problem.problem.detail
            break
    outcome.seconds = round(time.monotonic() - start, 2)
    return asdict(outcome)


def _forward(path: Path, outcome: Outcome) -> None:
    """Run once and compare every output with onnxruntime's."""
    opened = open_onnx(path, InputOptions(), dtype=torch.float32, device=CPU)
    network = opened.network
    outcome.input_shape, outcome.batch = network.input_shape, network.batch
    outcome.detail = " ".join(network.notes)
    x = torch.randn(network.batch or 1, *network.input_shape, generator=torch.Generator().manual_seed(1))
    if opened.measured.declared.element == UINT8:
        x = (x * 255).abs().clamp(max=255).round()
    with torch.no_grad():
        outputs = network.run(x, lambda *_: None)
    assert isinstance(outputs, dict)
    outcome.forward, outcome.reference = _against_onnxruntime(path, opened, x, outputs)


def _against_onnxruntime(path: Path, opened: Opened, x: Any, outputs: dict[str, Any]) -> tuple[float | None, str]:
    onnxruntime.set_default_logger_severity(4)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        types = {one.name: one.type for one in session.get_inputs()}
        feeds = {opened.network.input_name: opened.measured.layout.to_model(x), **opened.others}
        wanted = [name for name in outputs if name in {one.name for one in session.get_outputs()}]
        if not wanted:
            return None, "no output is left to be compared"
        values = session.run(wanted, {n: _as(v.numpy(), types[n]) for n, v in feeds.items() if n in types})
    except Exception as error:  # onnxruntime raises its own kinds, of no common base
        return None, str(error).split("\n", 1)[0][:200]
    worst = 0.0
    for name, theirs in zip(wanted, values, strict=True):
        ours = outputs[name]
        if isinstance(theirs, np.ndarray) and theirs.dtype.kind in "fiub" and hasattr(ours, "numpy"):
            if theirs.shape != tuple(ours.shape):
                return float("inf"), f"{name}: shape {tuple(ours.shape)}, expected {theirs.shape}"
            worst = max(worst, relative(ours.numpy(), theirs))
    return worst, "onnxruntime"


def _as(array: Any, kind: str) -> Any:
    kinds = {"float": "float32", "float16": "float16", "double": "float64", "uint8": "uint8"}
    wanted = kinds.get(kind.removeprefix("tensor(").removesuffix(")"), array.dtype)
    return np.ascontiguousarray(array.astype(wanted))


def relative(ours: Any, theirs: Any) -> float:
    """Relative L2 error, in float64; equal infinities and NaNs count as equal."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    odd = ~np.isfinite(b)
    if not np.array_equal(a[odd], b[odd], equal_nan=True):
        return float("inf")
    return float(np.linalg.norm((a - b)[~odd]) / (np.linalg.norm(b[~odd]) or 1.0))


def _measure(path: Path, outcome: Outcome) -> None:
    """The answer that a user would get; few samples, and the usual number where those are all dead."""
    try:
        given = _answer(path, FEW)
    except ProblemError as problem:
        if problem.kind != "no-gradient":
            raise
        given = _answer(path, USUAL)
    result = given.result
    assert given.map.max() == 1
    outcome.layer, outcome.operator = result.layer.name, result.layer.operator
    outcome.layer_shape, outcome.trf = tuple(result.layer.shape), tuple(result.trf.size)
    outcome.is_global, outcome.erf = result.trf.is_global, result.erf.size
    outcome.center = tuple(result.trf.center)
    outcome.channels, outcome.samples = result.provenance.channels, result.samples.used
    outcome.detail = " ".join(result.provenance.notes)


def _answer(path: Path, samples: int) -> Answer:
    request = ErfRequest.model_validate({"average": {"inputs": samples, "seed": SEED}})
    return answer(request, Sources(model=path), device="cpu")


def _gradient(path: Path, outcome: Outcome) -> None:
    """As many samples in float64: the engine's map against autograd through the whole network."""
    network = load_onnx(path, InputOptions(), dtype=torch.float64, device=CPU)
    request = ErfRequest.model_validate({
        "average": {"inputs": outcome.samples, "seed": SEED},
        "dtype": "float64",
        "target": {"layer": outcome.layer, "channels": outcome.channels},
    })  # fmt: skip
    measured: Measurement = measure_network(network, request)
    plan = plan_for(network, outcome.layer, samples=1)
    outcome.layers = len(plan.traced.layers)
    width = network.batch or 1
    total = sum(_by_autograd(plan, outcome, first)[: outcome.samples - first].sum(0)
                for first in range(0, outcome.samples, width))  # fmt: skip
    outcome.gradient = relative(measured.map, total / total.max())


def _by_autograd(plan: Plan, outcome: Outcome, first: int) -> Any:
    """|gradient| of one batch, channels summed: (batch, spatial …)."""
    network, layer = plan.traced.network, plan.layer
    numbers = range(first, first + (network.batch or 1))
    rows = [draw(ErfRequest().input.source, network.input_shape, SEED, n, ()) for n in numbers]
    x = torch.from_numpy(np.stack(rows)).to(network.dtype).requires_grad_()
    found: dict[str, torch.Tensor] = {}
    network.run(x, lambda name, _operator, value: found.setdefault(name, value))
    place = center_place(layer).at
    cut = (slice(place[k], place[k] + 1) if k in place else slice(None) for k in range(len(layer.shape)))
    y = found[layer.name][tuple(cut)]
    shape = tuple(n for k, n in enumerate(y.shape) if k != layer.batch)
    seeds = [_seed(shape, outcome.channels, n) for n in numbers]
    (g,) = torch.autograd.grad(y, x, torch.stack(seeds, layer.batch).to(y.dtype))
    others = tuple(k for k in range(1, x.dim()) if k not in plan.traced.space)
    return (g.abs().sum(others) if others else g.abs()).numpy()


def _center(path: Path, outcome: Outcome) -> None:
    """The centre unit's place along the chain of windows in autograd's graph of one forward run."""
    network = load_onnx(path, InputOptions(), dtype=torch.float32, device=CPU)
    layer = plan_for(network, outcome.layer, samples=1).layer
    if len(network.input_shape) != 3 or len(layer.grid) != 2:
        return  # the rules are of images
    image = torch.randn(network.batch or 1, *network.input_shape, requires_grad=True)
    found: dict[str, torch.Tensor] = {}
    network.run(image, lambda name, _operator, value: found.setdefault(name, value))
    chain = chain_of(found[layer.name], image)
    at = on_grid(chain, layer.grid) if chain else None
    if at is not None:
        outcome.chain = tuple(float(axis.at(index)) for axis, index in zip(at, layer.center, strict=True))


def _seed(shape: tuple[int, ...], channels: str, sample: int) -> torch.Tensor:
    return torch.from_numpy(signs(shape, SEED, sample)) if channels == "random" else torch.ones(shape)
