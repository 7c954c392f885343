"""S28: large kernels break the Gaussian shape (UniConvNet 2025): few of them against many small ones of one TRF."""

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InitOptions, InputSpec
from erfscope_contract.architecture.layers import Conv
from erfscope_contract.architecture.spec import Repeat
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.configuration import best_shape
from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.judge import within
from erfscope_reproduce.shape import CONTAIN_IT

ID = "S28"
SIDE = 79  # pixels of the input
STACKS = ((61, 1), (31, 2), (13, 5), (3, 30))  # kernel, layers: a TRF of 61 px each
REMARK = """\
UniConvNet (arXiv 2508.09000) says that large kernels break the Gaussian shape of the ERF. Theory says how much: the
squares of random linear layers follow sums of n boxes (S2), whose excess kurtosis per axis is
−1.2/n · (k² + 1)/(k² − 1). It nears a Gaussian's 0 with the number of layers, not with the size of the field: one
kernel of 61 is a box, thirty of 3 are a Gaussian. Depthwise layers, each with a 1×1 layer behind it; the method is
`analytic`, so nothing is drawn and no number has an error."""


def stack(kernel: int, layers: int) -> Architecture:
    """Depthwise convolutions, each with a 1×1 convolution behind it, without nonlinearity."""
    large = Conv(kernel_size=kernel, padding=kernel // 2, groups="depthwise", bias=False)
    block: list[AnyLayer] = [large, Conv(out_channels=8, kernel_size=1, bias=False)]
    return Architecture(
        name=f"depthwise-{kernel}×{layers}",
        input=InputSpec(channels=8, size=[SIDE, SIDE]),
        init=InitOptions(scheme=Init.KAIMING_NORMAL, gain=1),
        layers=[Repeat(times=layers, layers=block)],
    )


def broken_shape(bench: Bench) -> Finding:
    """S28: excess kurtosis and the rank of the Gaussian, from one kernel of 61 to thirty of 3."""
    shots = {size: bench.measure(stack(*size), method="analytic", statistic="rms", dtype="float64") for size in STACKS}
    rows = [row for size, shot in shots.items() for row in (_kurtosis_row(*size, shot), _shape_row(*size, shot))]
    return Finding(rows, [_picture(shots)], REMARK)


def box_kurtosis(kernel: int, layers: int) -> float:
    """Excess kurtosis of the sum of `layers` uniform variables on `kernel` places."""
    return -1.2 / layers * (kernel**2 + 1) / (kernel**2 - 1)


def _kurtosis_row(kernel: int, layers: int, shot: Shot) -> Row:
    variances = np.asarray(shot.map, np.float64) ** 2  # the map is the root of the expected squares
    ours = Quantity(kurtosis_along(variances.sum(0)), 0.0)
    expected = box_kurtosis(kernel, layers)
    return Row(
        id=ID,
        claim=f"{layers} × {kernel}×{kernel}: excess kurtosis of the expected squares is {expected:.3f}",
        published="large kernels break the Gaussian shape",
        ours=ours,
        verdict=within(ours, expected, 1e-3),
        how=shot.how,
        note=f"TRF {shot.result.trf.size[0]} px",
    )


def kurtosis_along(line: NDArray[np.float64]) -> float:
    """Excess kurtosis of a line of weights."""
    weights = line / line.sum()
    places = np.arange(len(weights)) - np.sum(np.arange(len(weights)) * weights)
    second, fourth = (float(np.sum(places**power * weights)) for power in (2, 4))
    return fourth / second**2 - 3


def _shape_row(kernel: int, layers: int, shot: Shot) -> Row:
    fixed = [rival.shape for rival in shot.result.gaussian.ranking if rival.shape not in CONTAIN_IT]
    rank = 1 + fixed.index("gaussian")
    return Row(
        id=ID,
        claim=f"{layers} × {kernel}×{kernel}: rank of the Gaussian among shapes that do not contain it",
        published="not the Gaussian's shape",
        ours=Quantity(rank, 0.0),
        unit=f"of {len(fixed)}",
        verdict=Verdict.MEASURED,
        how=shot.how,
        note=f"R² {shot.quantity('r2').value:.4f}; best by AIC: {best_shape(shot)}",
    )


def _picture(shots: dict[tuple[int, int], Shot]) -> Picture:
    series = []
    for (kernel, layers), shot in shots.items():
        line = shot.map[SIDE // 2]
        places = [place - SIDE // 2 for place in range(SIDE)]
        series.append(Series(f"{layers} × {kernel}×{kernel}", places, [float(one) for one in line], marks=False))
    png = chart("One TRF, four shapes", Axis("pixels from the centre"), Axis("share of maximum"), series)
    return Picture("s28-shapes", png, "The middle row of the maps; each stack has a TRF of 61 px.")
