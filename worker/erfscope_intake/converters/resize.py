"""Resize and Upsample: every mode, coordinate rule and rounding of versions 7 to the newest."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import Node, axis_of, converts, numbers, within_limit

UNSAID = "unsaid"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """One axis to be resized: extents, scale, and the stretch of input that tf_crop_and_resize looks at."""

    position: int
    before: int
    after: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Rule:
    """How values between samples come about."""

    mode: str
    coordinates: str
    nearest: str
    cubic: float = -0.75
    exclude_outside: bool = False
    extrapolation: float = 0.0
    antialias: bool = False


def _half_pixel(x: Floats, a: Axis) -> Floats:
    return (x + 0.5) / a.scale - 0.5


def _pytorch_half_pixel(x: Floats, a: Axis) -> Floats:
    return (x + 0.5) / a.scale - 0.5 if a.after > 1 else np.zeros_like(x)


def _align_corners(x: Floats, a: Axis) -> Floats:
    resized = a.before * a.scale  # of a fractional extent, where scales are given
    return x * (a.before - 1) / (resized - 1) if resized != 1 else np.zeros_like(x)


def _asymmetric(x: Floats, a: Axis) -> Floats:
    return x / a.scale


def _half_pixel_symmetric(x: Floats, a: Axis) -> Floats:
    shrunk = a.after / (a.before * a.scale)
    return a.before / 2 * (1 - shrunk) + (x + 0.5) / a.scale - 0.5


def _tf_half_pixel_for_nn(x: Floats, a: Axis) -> Floats:
    return (x + 0.5) / a.scale


def _tf_crop_and_resize(x: Floats, a: Axis) -> Floats:
    start, end = a.roi
    if a.after == 1:
        return np.full_like(x, 0.5 * (start + end) * (a.before - 1))
    return start * (a.before - 1) + x * (end - start) * (a.before - 1) / (a.after - 1)


COORDINATES: dict[str, Callable[[Floats, Axis], Floats]] = {
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": _asymmetric,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "tf_half_pixel_for_nn": _tf_half_pixel_for_nn,
    "tf_crop_and_resize": _tf_crop_and_resize,
}
NEAREST: dict[str, Callable[[Floats], Floats]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _cubic(distance: Floats, a: float) -> Floats:
    d = np.abs(distance)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def taps(axis: Axis, rule: Rule) -> tuple[NDArray[np.int64], Floats]:
    """Which samples each output position reads, and with which weights: two arrays (taps, positions)."""
    x = COORDINATES[rule.coordinates](np.arange(axis.after, dtype=np.float64), axis)
    if rule.mode == "nearest":
        # ties are decided by float32 arithmetic in every runtime: 3 / 0.6 must be 5, not a hair less
        where = NEAREST[_rounding(rule, axis)](np.round(x, 5))[None]
        weights = np.ones_like(where)
    else:
        where, weights = _weighted(x, axis, rule)
    inside = (where >= 0) & (where < axis.before)
    if rule.exclude_outside:
        weights = np.where(inside, weights, 0.0)
        weights = weights / weights.sum(0)
    return np.clip(where, 0, axis.before - 1).astype(np.int64), weights


def _rounding(rule: Rule, axis: Axis) -> str:
    """Resize-10 left the rounding open; onnxruntime rounds up where it shrinks, down elsewhere."""
    if rule.nearest != UNSAID:
        return rule.nearest
    return "ceil" if axis.scale < 1 else "floor"


def _weighted(x: Floats, axis: Axis, rule: Rule) -> tuple[Floats, Floats]:
    """Linear and cubic kernels; antialias widens them by the scale when shrinking."""
    reach = 1 if rule.mode == "linear" else 2
    stretch = min(axis.scale, 1.0) if rule.antialias else 1.0
    first = math.floor(-reach / stretch) + 1
    steps = np.arange(first, first + 2 * (reach - first), dtype=np.float64)
    # an exact hit counts as the right end of the interval before it, as the standard's own code has it
    base = np.ceil(x) - 1 if rule.antialias else np.floor(x)
    where = base[None] + steps[:, None]
    distance = (where - x[None]) * stretch
    linear = rule.mode == "linear"
    weights = np.maximum(1 - np.abs(distance), 0.0) if linear else _cubic(distance, rule.cubic)
    return where, weights if stretch == 1.0 else weights / weights.sum(0)


def resize_axis(x: Tensor, axis: Axis, rule: Rule) -> Tensor:
    """One axis by explicit taps: exact for every rule, and index_select keeps its locality on the tape."""
    where, weights = taps(axis, rule)
    total = None
    for indices, factors in zip(where, weights, strict=True):
        if not factors.any():
            continue
        piece = x.index_select(axis.position, torch.from_numpy(indices).to(x.device))
        if not (factors == 1).all():
            column = torch.from_numpy(factors).to(piece.dtype).to(x.device)
            piece = piece * column.reshape(-1, *(1,) * (x.ndim - 1 - axis.position))
        total = piece if total is None else total + piece
    assert total is not None
    return total


def _outside(x: Tensor, axis: Axis, rule: Rule) -> Tensor:
    """tf_crop_and_resize: positions outside the input take the extrapolation value."""
    at = COORDINATES[rule.coordinates](np.arange(axis.after, dtype=np.float64), axis)
    out = torch.from_numpy((at < 0) | (at > axis.before - 1)).to(x.device)
    column = out.reshape(-1, *(1,) * (x.ndim - 1 - axis.position))
    return torch.where(column, torch.tensor(rule.extrapolation, dtype=x.dtype, device=x.device), x)


MODES = {
    ("linear", 3): "linear",
    ("linear", 4): "bilinear",
    ("linear", 5): "trilinear",
    ("cubic", 4): "bicubic",
}


def _native(x: Tensor, axes: list[Axis], rule: Rule) -> Tensor | None:
    """torch's own interpolation, where it means exactly the same; its regions are known and it is fast."""
    spatial = [a.position for a in axes] == list(range(2, x.ndim)) and x.is_floating_point()
    if not spatial or x.ndim > 5 or rule.antialias or rule.exclude_outside:
        return None
    sizes = [a.after for a in axes]
    exact = all(math.isclose(a.before * a.scale, a.after) for a in axes)
    if rule.mode == "nearest":
        whole = all(a.after % a.before == 0 for a in axes) and exact
        centred = (rule.coordinates, rule.nearest) in (
            ("asymmetric", "floor"), ("asymmetric", UNSAID),
            ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil"),
        )  # fmt: skip
        return F.interpolate(x, sizes) if whole and centred else None
    mode = MODES.get((rule.mode, x.ndim))
    if mode is None or (rule.mode == "cubic" and rule.cubic != -0.75):
        return None
    if rule.coordinates == "align_corners" and exact:
        return F.interpolate(x, sizes, mode=mode, align_corners=True)
    half = rule.coordinates == "half_pixel" or (rule.coordinates == "pytorch_half_pixel" and min(sizes) > 1)
    return F.interpolate(x, sizes, mode=mode, align_corners=False) if half and exact else None


def resized(x: Tensor, axes: list[Axis], rule: Rule) -> Tensor:
    """x with `axes` resized by `rule`."""
    out = list(x.shape)
    for axis in axes:
        out[axis.position] = axis.after
    within_limit(out, x.dtype)
    if (
        rule.coordinates not in COORDINATES
        or rule.nearest not in (*NEAREST, UNSAID)
        or rule.mode not in ("nearest", "linear", "cubic")
    ):
        raise ProblemError(
            "unsupported-op",
            f"Resize with mode {rule.mode}, {rule.coordinates}, {rule.nearest} is not known.",
        )
    crop = rule.coordinates == "tf_crop_and_resize"
    axes = [a for a in axes if a.before != a.after or a.scale != 1 or crop]
    whole = x.dtype
    native = _native(x, axes, rule) if axes else x
    if native is not None:
        return native
    y = x if x.is_floating_point() or rule.mode == "nearest" else x.to(torch.float64)
    for axis in axes:
        y = resize_axis(y, axis, rule)
    for axis in axes if crop else []:
        y = _outside(y, axis, rule)
    return y if y.dtype == whole else y.round().to(whole)


def _extent(before: int, scale: float) -> int:
    """Resized extent; the product is a float32 in every runtime, so that 10 · 0.7 is 7."""
    return math.floor(np.float32(before) * np.float32(scale)) if math.isfinite(scale) else -1


def _extents(x: Tensor, axes: list[int], sizes: list[int], policy: str) -> tuple[list[int], list[float]]:
    scales = [size / x.shape[axis] for axis, size in zip(axes, sizes, strict=True)]
    if policy == "stretch":
        return sizes, scales
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [math.floor(scale * x.shape[axis] + 0.5) for axis in axes], [scale] * len(axes)


def _rule(node: Node) -> Rule:
    old = node.version < 11
    return Rule(
        mode=node.text("mode", "nearest"),
        coordinates=node.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel"),
        nearest=node.text("nearest_mode", UNSAID if old else "round_prefer_floor"),
        cubic=node.float("cubic_coeff_a", -0.75),
        exclude_outside=bool(node.int("exclude_outside", 0)),
        extrapolation=node.float("extrapolation_value", 0.0),
        antialias=bool(node.int("antialias", 0)),
    )


@converts("Resize", since=10, reads=(1, 2, 3))
def resize(
    node: Node,
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    """Resize by scales or to sizes, along all axes or the named ones."""
    if node.version < 11:
        roi, scales = None, roi
    axes = [axis_of(a, x.ndim) for a in node.ints("axes", range(x.ndim))]
    if sizes is not None and sizes.numel():
        policy = node.text("keep_aspect_ratio_policy", "stretch")
        extents, factors = _extents(x, axes, numbers(sizes), policy)
    elif scales is not None:
        factors = [float(scale) for scale in scales.reshape(-1).tolist()]
        extents = [_extent(x.shape[a], s) for a, s in zip(axes, factors, strict=True)]
    else:
        raise ValueError("neither scales nor sizes are given")
    corners = [float(v) for v in roi.reshape(-1).tolist()] if roi is not None and roi.numel() else None
    corners = corners or [0.0] * len(axes) + [1.0] * len(axes)
    plan = [
        Axis(a, x.shape[a], extent, factor, (corners[i], corners[i + len(axes)]))
        for i, (a, extent, factor) in enumerate(zip(axes, extents, factors, strict=True))
    ]
    return resized(x, sorted(plan, key=lambda axis: axis.position), _rule(node))


@converts("Upsample", reads=(1,))
def upsample(node: Node, x: Tensor, scales: Tensor | None = None) -> Tensor:
    """The forerunner of Resize: asymmetric coordinates, rounded down."""
    if scales is not None:
        factors = [float(scale) for scale in scales.reshape(-1).tolist()]
    elif "scales" in node.attributes:
        factors = [float(scale) for scale in node.attributes["scales"]]
    else:
        factors = [1.0, 1.0, node.float("height_scale", 1.0), node.float("width_scale", 1.0)]
    mode = {"bilinear": "linear"}.get(node.text("mode", "nearest"), node.text("mode", "nearest"))
    plan = [Axis(a, x.shape[a], _extent(x.shape[a], s), s) for a, s in zip(range(x.ndim), factors, strict=True)]
    return resized(x, plan, Rule(mode, "asymmetric", "floor"))
