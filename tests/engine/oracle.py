"""The truth about a torch network's gradient map and field, by plain autograd alone.

Nothing is taken from the engine, not even where a layer's axes lie: samples are drawn again from the documented stream,
gradients are those of the whole network in float64, one sample at a time, and fields are the places with a gradient in
a network without kinks, on the image itself or in the middle of a larger canvas.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Run = Callable[[Tensor], Any]
Pick = Callable[[Any], Tensor]
Box = list[tuple[int, int]]
INPUTS, SIGNS = 0, 1


class Mapped(Protocol):
    """What a measurement says of its map."""

    map: NDArray[Any]
    result: Any


def stream(k: int, seed: int, kind: int) -> np.random.Generator:
    """The random numbers of sample k: Philox keyed by (seed, k), a block for inputs and one for channel signs."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, k], np.uint64), counter=[0, 0, 0, kind]))


def sample(shape: Sequence[int], k: int, seed: int = 0) -> Tensor:
    """Input sample k, normal, of `shape` without the batch; float64 of float32 numbers."""
    return torch.from_numpy(stream(k, seed, INPUTS).standard_normal(tuple(shape), np.float32)).double()


def signs(shape: Sequence[int], k: int, seed: int = 0) -> Tensor:
    """Random signs of sample k for the channels of a unit, float64."""
    return torch.from_numpy(stream(k, seed, SIGNS).integers(0, 2, tuple(shape)).astype(np.float64) * 2 - 1)


def unit_of(unit: Sequence[int], axes: Sequence[int] | None = None, channels: Sequence[int] | None = None) -> Pick:
    """Picks the channels of a unit from an output with a batch of one.

    `axes`: those of the tensor without the batch that are space (default: the last ones); `channels`: which of the
    others' first axis (default: all).
    """
    space = tuple(axes) if axes is not None else tuple(range(-len(unit), 0))

    def pick(y: Tensor) -> Tensor:
        values = y[0].movedim(space, tuple(range(-len(space), 0)))[(..., *unit)]
        return values if channels is None else values[list(channels)]

    return pick


def gradient(run: Run, x: Tensor, pick: Pick, seed: Tensor | None = None) -> Tensor:
    """d (pick(run(x)) · seed) / dx of one sample `x` without the batch; the seed is ones where None."""
    leaf = x[None].clone().requires_grad_()
    value = pick(run(leaf))
    if not value.requires_grad:
        return torch.zeros_like(x)
    (g,) = torch.autograd.grad(value, leaf, torch.ones_like(value) if seed is None else seed, allow_unused=True)
    return torch.zeros_like(x) if g is None else g[0]


def sample_maps(
    run: Run,
    shape: Sequence[int],
    pick: Pick,
    inputs: int,
    *,
    seed: int = 0,
    random_signs: bool = False,
    reduce: Callable[[Tensor], Tensor] = torch.abs,
    channel_axis: int = 0,
) -> NDArray[np.float64]:
    """Mean over input channels of `reduce`(gradient), sample by sample [inputs, *spatial]."""
    maps = []
    for k in range(inputs):
        x = sample(shape, k, seed)
        with torch.no_grad():
            towards = signs(pick(run(x[None])).shape, k, seed) if random_signs else None
        maps.append(reduce(gradient(run, x, pick, towards)).mean(channel_axis).numpy())
    return np.stack(maps)


def gradient_map(run: Run, shape: Sequence[int], pick: Pick, inputs: int, **how: Any) -> NDArray[np.float64]:
    """The map before it is normalised [*spatial]: the mean of sample_maps, with its options."""
    maps: NDArray[np.float64] = sample_maps(run, shape, pick, inputs, **how).mean(0)
    return maps


def raw(measured: Mapped) -> NDArray[np.float64]:
    """A measurement's map before it was normalised."""
    return np.asarray(measured.map, np.float64) * 2.0**measured.result.scale_log2


def difference(measured: Mapped, truth: NDArray[np.float64]) -> float:
    """Relative L2 distance of a measurement's raw map from the truth; inf where the shapes differ."""
    values = raw(measured)
    return math.inf if values.shape != truth.shape else float(np.linalg.norm(values - truth) / np.linalg.norm(truth))


def support(run: Run, shape: Sequence[int], pick: Pick, *, draws: int = 2, channel_axis: int = 0) -> NDArray[np.bool_]:
    """Where a unit has a gradient [*spatial], whatever its channels: kinks are removed, channels weighed at random.

    Random weights keep what a sum of channels would cancel (LayerNorm); several draws fill in what one sample misses.
    """
    reached = np.zeros([n for k, n in enumerate(shape) if k != channel_axis], bool)
    generator = torch.Generator().manual_seed(1)
    for k in range(draws):
        with Smooth():
            x = torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
            with torch.no_grad():
                extents = pick(run(x[None])).shape
            weights = torch.randn(extents, generator=generator, dtype=torch.float64) + (k + 1) / 3
            g = gradient(run, x, pick, weights)
        reached |= (g != 0).any(channel_axis).numpy()
    return reached


def hull(reached: NDArray[np.bool_]) -> Box | None:
    """The smallest [lo, hi) per axis that holds every place; None where there is none."""
    if not reached.any():
        return None
    rank = range(reached.ndim)
    sides = [np.flatnonzero(reached.any(axis=tuple(other for other in rank if other != axis))) for axis in rank]
    return [(int(places[0]), int(places[-1]) + 1) for places in sides]


def box_on_canvas(run: Run, shape: Sequence[int], pick_at: Callable[[int], Pick], step: int) -> Box | None:
    """A unit's TRF in pixels of the image: its support on a canvas with margins wide enough to hold it.

    `pick_at(margin)` picks the unit that lies there as the asked one lies on the image; margins are multiples of
    `step`. None where it reads nothing.
    """
    margin = step * -(-8 // step)
    while True:
        larger = (shape[0], *(n + 2 * margin for n in shape[1:]))
        box = hull(support(run, larger, pick_at(margin), draws=1))
        if box is None:
            return None
        if all(lo > 0 and hi < n for (lo, hi), n in zip(box, larger[1:], strict=True)):
            return [(lo - margin, hi - margin) for lo, hi in box]
        if margin > 2000:
            raise AssertionError(f"the support reaches the edge of a canvas with margins of {margin} pixels")
        margin *= 2


def _rise(x: Tensor) -> Tensor:
    """A ReLU without a kink, whose slope is nowhere 0 for numbers that occur."""
    return (x + torch.sqrt(1 + x * x)) / 2


def _swing(x: Tensor) -> Tensor:
    """A tanh that never saturates in float64."""
    return x / torch.sqrt(1 + x * x)


def _mean_of_windows(rank: int) -> Callable[..., Tensor]:
    def pool(x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, *rest: Any, **options: Any) -> Tensor:
        """Average pooling where max pooling was, with the same windows (not for dilated ones, which none has)."""
        ceil = rest[1] if len(rest) > 1 else options.get("ceil_mode", False)
        average = (nn.functional.avg_pool1d, nn.functional.avg_pool2d, nn.functional.avg_pool3d)[rank - 1]
        return average(x, kernel_size, stride, padding, ceil)

    return pool


def _mean_along(x: Tensor, dim: Any = None, keepdim: bool = False, **options: Any) -> Tensor:
    return x.mean() if dim is None else x.mean(dim, keepdim)


def _adaptive(rank: int) -> Callable[..., Tensor]:
    functional = nn.functional
    average = (functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d)[rank - 1]
    return lambda x, output_size, *rest, **options: average(x, output_size)


def _first(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """Of the first argument alone, in place where that is asked for."""

    def apply(x: Tensor, *rest: Any, inplace: bool = False, **options: Any) -> Tensor:
        return x.copy_(function(x.clone())) if inplace else function(x)

    return apply


def _in_place(x: Tensor, *rest: Any) -> Tensor:
    return x.copy_(_rise(x.clone()))


RISING = ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "hardswish", "threshold", "clamp", "prelu", "rrelu")
SWINGING = ("tanh", "sigmoid", "hardtanh", "hardsigmoid", "softsign")
POOLS = {f"{name}{rank}d": _mean_of_windows(rank) for rank in (1, 2, 3) for name in ("max_pool", "_max_pool")}
ADAPTIVE = {f"{name}{r}d": _adaptive(r) for r in (1, 2, 3) for name in ("adaptive_max_pool", "_adaptive_max_pool")}
WITHOUT_KINKS: dict[str, Callable[..., Any]] = {
    **{name: _first(_rise) for name in RISING},
    **{name: _first(_swing) for name in SWINGING},
    **POOLS,
    **ADAPTIVE,
    "relu_": _in_place,
    "clamp_": _in_place,
    "leaky_relu_": _in_place,
    "amax": _mean_along,
    "maximum": lambda a, b: (a + b) / 2,
    "minimum": lambda a, b: (a + 2 * b) / 3,
    "abs": lambda x: torch.abs(x) if x.is_complex() else _rise(x),
}


class Smooth(TorchFunctionMode):
    """Runs a network with smooth functions in the place of those with kinks or flat parts, max pooling as average."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = WITHOUT_KINKS.get(getattr(func, "__name__", ""))
        return (func if known is None else known)(*args, **(kwargs or {}))
