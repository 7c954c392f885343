"""S1 and S3: kernels that are not random, where the map has a closed form (section 2.2 of the article)."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.architecture import Architecture, Init, InitOptions, InputSpec
from erfscope_contract.architecture.base import InitSpec
from erfscope_contract.architecture.layers import Conv
from erfscope_contract.architecture.spec import Repeat
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row
from erfscope_reproduce.judge import exact

KERNELS = (2, 3, 5, 7)
DEEPEST = 60
BOUND = 1e-12
BORDER = 1  # pixels beside the receptive field of the middle unit: they must hold exact zeros

# Non-uniform kernels by name: shape and values, row by row. None is symmetric, so the mean moves as well.
NON_UNIFORM: dict[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "1-D, 1 2 4": ((3,), (1, 2, 4)),
    "1-D, 5 0 1 3": ((4,), (5, 0, 1, 3)),
    "2-D, 3×3": ((3, 3), (0.5, 1, 0, 2, 4, 1, 0, 3, 0.25)),
    "2-D, 3×5": ((3, 5), (1, 0, 2, 0, 1, 3, 1, 5, 2, 0, 0, 1, 1, 4, 0.5)),
}


def linear_stack(name: str, depth: int, kernel: Sequence[int], init: InitSpec) -> Architecture:
    """`depth` convolutions of one channel without padding; three units per axis remain."""
    side = [depth * (k - 1) + 1 + 2 * BORDER for k in kernel]
    conv = Conv(out_channels=1, kernel_size=list(kernel), bias=False)
    return Architecture(
        name=name, input=InputSpec(channels=1, size=side), init=init, layers=[Repeat(times=depth, layers=[conv])]
    )


def extended_binomial(kernel: int, depth: int) -> NDArray[np.float64]:
    """Coefficients of (1 + x + … + x^(k−1))^n over the largest, from whole numbers of any length."""
    row = [1]
    for _ in range(depth):
        row = [sum(row[max(i - kernel + 1, 0) : i + 1]) for i in range(len(row) + kernel - 1)]
    largest = max(row)
    return np.array([coefficient / largest for coefficient in row])


def ones_kernels(bench: Bench) -> Finding:
    """S1: the map of stacked kernels of ones is the (extended) binomial distribution."""
    depths = {
        1: bench.choose((1, 2, 3, 5, 10, 20, 40, DEEPEST), tuple(range(1, DEEPEST + 1))),
        2: bench.choose((1, 5, 20), (1, 2, 3, 5, 10, 20, 30, 40, 50, DEEPEST)),
    }
    rows = [_ones_row(bench, rank, kernel, depths[rank]) for rank in (1, 2) for kernel in KERNELS]
    return Finding(rows, [_ones_picture(bench)])


def _ones_row(bench: Bench, rank: int, kernel: int, depths: Sequence[int]) -> Row:
    worst = max(_ones_error(bench, rank, kernel, depth) for depth in depths)
    name = "binomial coefficients" if kernel == 2 else "extended binomial coefficients"
    return Row(
        id="S1",
        claim=f"{rank}-D, kernels of {kernel} ones: the map is the {name}",
        published="equal",
        ours=Quantity(worst, 0.0),
        unit="largest relative error",
        verdict=exact(worst, BOUND),
        how=f"{len(depths)} stacks of {depths[0]} to {depths[-1]} layers, init=ones, dtype=float64, inputs=1",
    )


def _ones_shot(bench: Bench, rank: int, kernel: int, depth: int) -> Shot:
    stack = linear_stack(f"ones-{rank}d-k{kernel}-n{depth}", depth, [kernel] * rank, Init.ONES)
    return bench.measure(stack, dtype="float64", inputs=1, source="zeros")


def _ones_error(bench: Bench, rank: int, kernel: int, depth: int) -> float:
    line = np.pad(extended_binomial(kernel, depth), BORDER)
    truth = line if rank == 1 else np.outer(line, line)
    return relative_error(_ones_shot(bench, rank, kernel, depth).map, truth)


def relative_error(map: NDArray[np.floating], truth: NDArray[np.float64]) -> float:
    """The largest relative error of any pixel; infinite where a zero of the truth is not exactly zero."""
    if map.shape != truth.shape or map[truth == 0].any():
        return math.inf
    seen = truth > 0
    return float(np.abs(map[seen] / truth[seen] - 1).max())


def _ones_picture(bench: Bench) -> Picture:
    depth, series = 20, []
    for number, kernel in enumerate(KERNELS):
        middle, truth = depth * (kernel - 1) / 2, extended_binomial(kernel, depth)
        map = _ones_shot(bench, 1, kernel, depth).map[BORDER:-BORDER]
        places = [i - middle for i in range(len(truth)) if abs(i - middle) <= 30]
        shown = [int(place + middle) for place in places]
        series.append(Series(f"k = {kernel}", places, [float(map[i]) for i in shown], line=False, color=number))
        series.append(Series("", places, [float(truth[i]) for i in shown], marks=False, color=number))
    png = chart("Ones kernels, 20 layers", Axis("pixels from the centre"), Axis("share of maximum"), series)
    return Picture("s1-ones", png, "Points: the measured maps. Lines: the closed form.")


def non_uniform_kernels(bench: Bench) -> Finding:
    """S3: for a non-negative kernel the map's standard deviation is √(n·Var[X]) on each axis."""
    depths = bench.choose((1, 5, 20), (1, 2, 5, 10, 20, 40, DEEPEST))
    return Finding([_sigma_row(bench, name, depths) for name in NON_UNIFORM])


def _sigma_row(bench: Bench, name: str, depths: Sequence[int]) -> Row:
    shape, taps = NON_UNIFORM[name]
    variances = axis_variances(np.reshape(np.array(taps, dtype=np.float64), shape))
    worst = 0.0
    for depth in depths:
        init = InitOptions(scheme=Init.TAPS, taps=list(taps))
        shot = bench.measure(linear_stack(f"taps-n{depth}", depth, shape, init), dtype="float64", inputs=1)
        for sigma, variance in zip(shot.result.gaussian.sigma_axis, variances, strict=True):
            worst = max(worst, math.inf if sigma is None else abs(sigma / math.sqrt(depth * variance) - 1))
    return Row(
        id="S3",
        claim=f"kernel {name}: sigma of the map is √(n·Var[X]) on each axis",
        published="equal",
        ours=Quantity(worst, 0.0),
        unit="largest relative error",
        verdict=exact(worst, BOUND),
        how=f"stacks of {', '.join(map(str, depths))} layers, init=taps, dtype=float64, sigma per axis",
    )


def axis_variances(kernel: NDArray[np.float64]) -> list[float]:
    """Var[X] on each axis for X distributed as the normalised kernel."""
    share = kernel / kernel.sum()
    found = []
    for axis in range(kernel.ndim):
        marginal = share.sum(axis=tuple(other for other in range(kernel.ndim) if other != axis))
        place = np.arange(len(marginal))
        found.append(float(marginal @ place**2 - (marginal @ place) ** 2))
    return found
