"""S27: RepLKNet's area ratio r for ResNets on random weights, beside their table on trained ones (Ding et al. 2022)."""

from dataclasses import replace

import numpy as np

from erfscope_contract.presets import preset
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.finding import Finding, Quantity, Row, Verdict
from erfscope_reproduce.training import fit

ID = "S27"
SETTLED = 224  # pixels of the noise on which normalisation reads its statistics
SIDE = 1024  # pixels of the input, as theirs
SHARES = ("20", "30", "50", "99")  # t, per cent of the mass
PUBLISHED = {"resnet101": (0.9, 1.5, 3.2, 22.4), "resnet152": (1.1, 1.8, 3.9, 34.4)}  # per cent; recalled
WORDS = {"resnet18": "ResNet-18", "resnet101": "ResNet-101", "resnet152": "ResNet-152"}
REMARK = """\
Ding, Zhang, Han, Ding and others, "Scaling Up Your Kernels to 31x31" (CVPR 2022, arXiv 2203.06717), give r, the share
of the input in the smallest centred square that holds t of the map. **Not comparable, because their weights are trained
and ours are random**, and because r is taken on log10(x + 1) of the gradient, so that it depends on the gradient's
scale (the last row of each network). Normalisation has the statistics of noise, as before training. The share of the
input by the linear map, which has no scale, stands beside r. Their figures are recalled, not read again. RepLKNet
itself is not among the presets; with a file of trained weights `erfscope measure MODEL --protocol replknet` repeats
their way exactly (docs/howto/replknet.md)."""


def area_ratios(bench: Bench) -> Finding:
    """S27: r at 20, 30, 50 and 99 %, and the scale-free shares."""
    names, side, inputs = bench.choose((("resnet18",), 128, 2), (tuple(PUBLISHED), SIDE, 4))
    rows = []
    for name in names:
        shot = _shot(bench, name, side, inputs)
        rows += [_ratio_row(name, number, shot) for number in range(len(SHARES))]
        rows += [*(_mass_row(name, share, shot) for share in ("50", "99")), _scale_row(name, shot)]
    return Finding(rows, remark=REMARK)


def _shot(bench: Bench, name: str, side: int, inputs: int) -> Shot:
    """The network with normalisation that has the statistics of noise of SETTLED² px, measured their way."""
    network = fit.drawn(preset(name), 0)
    noise = np.random.default_rng(0).standard_normal((2, 3, SETTLED, SETTLED)).astype(np.float32)
    fit.settle(network, iter([(noise, np.zeros(2, np.int64))]), 1)
    wide = replace(network, input_shape=(3, side, side))
    how = f"preset:{name}, normalised, {side}×{side}"
    return bench.measure_network(wide, how, inputs=inputs, protocol="replknet")


def _ratio_row(name: str, number: int, shot: Shot) -> Row:
    theirs = f"{PUBLISHED[name][number]} % (recalled), trained" if name in PUBLISHED else "–"
    ratio = shot.quantity(f"replknet_{SHARES[number]}")
    return _row(f"{WORDS[name]}, random weights: r at {SHARES[number]} %", theirs, ratio, shot)


def _mass_row(name: str, share: str, shot: Shot) -> Row:
    claim = f"{WORDS[name]}, random weights: share of the input that holds {share} % of the linear map"
    return _row(claim, "not given", shot.quantity(f"mass_{share}_ratio"), shot)


def _scale_row(name: str, shot: Shot) -> Row:
    """The maximum of the raw map: where it is far above 1, the logarithm flattens the map, and r grows."""
    peak = Quantity(float(f"{2.0**shot.result.scale_log2:.2g}"))  # its error is not estimated: two digits
    claim = f"{WORDS[name]}, random weights: the largest gradient, which sets how much the logarithm flattens"
    return Row(ID, claim, "not given", peak, Verdict.MEASURED, shot.how, "output per input")


def _row(claim: str, published: str, ratio: Quantity, shot: Shot) -> Row:
    percent = Quantity(100 * ratio.value, None if ratio.error is None else 100 * ratio.error)
    return Row(ID, claim, published, percent, Verdict.MEASURED, shot.how, "%")
