"""S22: the ERF saturates with depth, and strides leave pixels that are hardly seen (Kim et al. 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InputSpec
from erfscope_contract.architecture.layers import Conv
from erfscope_contract.architecture.pointwise import Activation, BatchNorm
from erfscope_contract.architecture.spec import Residual
from erfscope_contract.power_law import PowerFit, fit_power
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import Axis, Series, chart, sheet
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict, mean_of
from erfscope_reproduce.judge import below, exact
from erfscope_reproduce.later.paths import counts_of, linear_net, weakest
from erfscope_reproduce.training import fit

ID = "S22"
CHANNELS, SIDE = 8, 81
KERNELS = (3, 4)  # with stride 2: 4 is a multiple of it
HALVINGS = 3
REMARK = """\
Kim et al., "Dead Pixel Test Using Effective Receptive Field" (arXiv 2108.13576), publish the effects, not figures that
can be set beside ours. Plain stacks do not saturate: their ERF grows like √n (S10). Residual blocks nearly
do, where the branch is normalised: block n adds one part of variance to the n that are there, so a path takes its
convolution with probability 1/(n + 1), and the convolutions that it takes grow in number like ln n. Normalisation has
the statistics of noise, as before training. Pixels that strides see less are counted for kernels of ones."""


@dataclass(frozen=True)
class Family:
    """Networks over depth: `sizes` by depth, each over several draws of the weights."""

    words: str
    depths: Sequence[int]
    sizes: Sequence[Quantity]

    @property
    def slope(self) -> PowerFit:
        """Of the size against depth, both logarithmic."""
        return fit_power(self.depths, [one.value for one in self.sizes], [one.error or 0.0 for one in self.sizes])

    @property
    def doubling(self) -> Quantity:
        """The ERF at the last depth over that at half of it."""
        return self.sizes[-1] / self.sizes[-2]


def stack(depth: int, *, skips: bool) -> Architecture:
    """A convolution, then depth − 1 of normalisation, ReLU and convolution, with a skip around each or without."""
    conv = Conv(out_channels=CHANNELS, kernel_size=3, padding=1, bias=False)
    block: list[AnyLayer] = [Activation(type="relu"), conv, BatchNorm()]
    layers: list[AnyLayer] = [conv, BatchNorm()]
    for _ in range(depth - 1):
        layers += [Residual(layers=block)] if skips else block
    name = f"{'residual' if skips else 'plain'}-{depth}, normalised"
    return Architecture(name=name, input=InputSpec(size=[SIDE, SIDE]), init=Init.KAIMING_NORMAL, layers=layers)


def saturation(bench: Bench) -> Finding:
    """S22: growth with depth for plain and residual stacks; what a stride's kernel leaves out."""
    families = [family_of(bench, skips=skips) for skips in (False, True)]
    plain, residual = families
    difference = _slope(residual) - _slope(plain)
    seen = {kernel: counts_of(linear_net(f"stride-{kernel}", 96, _halving(kernel))) for kernel in KERNELS}
    three, four = (weakest(one) for one in seen.values())
    how = f"depths {', '.join(map(str, plain.depths))}, {CHANNELS} channels, erf_size"
    rows = [
        *(
            _row(f"{family.words}: twice the depth ({family.depths[-1]} layers) enlarges the ERF by less than the TRF",
                 family.doubling, "saturates", "times", how,
                 f"the TRF by {(2 * family.depths[-1] + 1) / (2 * family.depths[-2] + 1):.2f}",
                 below(family.doubling, (2 * family.depths[-1] + 1) / (2 * family.depths[-2] + 1)))
            for family in families
        ),
        _row("residual stacks saturate: slope of the ERF against depth, less that of plain ones", difference,
             "saturates", "log-log slope", how, f"{residual.slope.slope:.2f} against {plain.slope.slope:.2f}",
             below(difference, 0.0)),
        _row(f"{HALVINGS} × stride 2 with kernel 3: the least seen pixel, over the most seen", Quantity(three, 0.0),
             "partially dead pixels", "times", "paths by kernels of ones", "", below(Quantity(three, 0.0), 1.0)),
        _row(f"{HALVINGS} × stride 2 with kernel 4, a multiple of the stride: all are seen as often",
             Quantity(four, 0.0), "a cure", "times", "paths by kernels of ones", "", exact(abs(four - 1), 1e-12)),
    ]  # fmt: skip
    middles = [(one[40:56, 40:56] / one.max(), f"kernel {kernel}, stride 2") for kernel, one in seen.items()]
    dead = Picture("s22-pixels", sheet("Pixels that strides see less", middles), "16×16 pixels of the middle.")
    return Finding(rows, [_chart(families), dead], REMARK)


def _halving(kernel: int) -> list[AnyLayer]:
    return [Conv(out_channels=1, kernel_size=kernel, stride=2, padding=1, bias=False)] * HALVINGS


def family_of(bench: Bench, *, skips: bool) -> Family:
    """ERF sizes of one family, mean over draws of the weights."""
    depths, seeds = bench.choose(((4, 8, 16), 2), ((5, 10, 20, 40), 4))
    sizes = [
        mean_of([_shot(bench, depth, seed, skips=skips).quantity("erf_size").value for seed in range(seeds)])
        for depth in depths
    ]
    return Family("residual, branches normalised" if skips else "plain", depths, sizes)


def _shot(bench: Bench, depth: int, seed: int, *, skips: bool) -> Shot:
    network = fit.drawn(stack(depth, skips=skips), seed)
    noise = np.random.default_rng(seed).standard_normal((4, 3, SIDE, SIDE)).astype(np.float32)
    fit.settle(network, iter([(noise, np.zeros(4, np.int64))]), 1)
    return bench.measure_network(network, network.name, inputs=bench.choose(4, 8), channels="random")


def _slope(family: Family) -> Quantity:
    return Quantity(family.slope.slope, family.slope.slope_error)


def _row(claim: str, ours: Quantity, published: str, unit: str, how: str, note: str, verdict: Verdict) -> Row:
    return Row(ID, claim, published, ours, verdict, how, unit, note)


def _chart(families: Sequence[Family]) -> Picture:
    series = []
    for color, family in enumerate(families):
        values, errors = [one.value for one in family.sizes], [one.error or 0.0 for one in family.sizes]
        series.append(Series(f"{family.words}: n^{family.slope.slope:.2f}", family.depths, values, errors, color=color))
    trf = [2.0 * depth + 1 for depth in families[0].depths]
    series.append(Series("TRF", families[0].depths, trf, dashed=True, marks=False, color=len(families)))
    png = chart("ERF against depth", Axis("layers n", log=True), Axis("size (px)", log=True), series)
    return Picture("s22-depth", png, "Bars are one standard error over draws of the weights.")
