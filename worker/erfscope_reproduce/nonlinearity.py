"""S4 and S5: activations (figure 2) and dropout."""

import numpy as np

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InputSpec
from erfscope_contract.architecture.layers import Conv
from erfscope_contract.architecture.pointwise import Activation, Dropout
from erfscope_contract.architecture.spec import Repeat
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import sheet
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict, joined, mean_of
from erfscope_reproduce.judge import above, agrees, within

DEPTH, RUNS = 20, 100
KINDS = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid"}
GAUSSIAN_ENOUGH = 0.9  # R²: the article calls them "Gaussian" by eye

REMARK = """\
Weights are Kaiming normal with the gain that keeps each activation's scale. A ReLU unit at 0 sends nothing back: such
samples are counted as dead. The sum over 16 channels is hardly ever dead, a single channel is half of the time."""


def activations(bench: Bench) -> Finding:
    """S4: 20 layers with ReLU, tanh or sigmoid, 100 runs over weights and inputs."""
    shots = {kind: bench.measure(f"preset:plain-{DEPTH}-{kind}", inputs=1, draws=RUNS) for kind in KINDS}
    rows = [_shape_row(shot, kind) for kind, shot in shots.items()]
    rows += [_size_row(shot, kind) for kind, shot in shots.items()]
    rows.append(_dead_row(bench))
    panels = [(shot.map, f"{KINDS[kind]}: R² {shot.quantity('r2').value:.3f}") for kind, shot in shots.items()]
    picture = Picture("s4-maps", sheet("Figure 2: nonlinearities, 20 layers", panels, columns=3), "100 runs each.")
    return Finding(
        rows,
        [picture],
        REMARK,
    )


def _shape_row(shot: Shot, kind: str) -> Row:
    r2 = shot.quantity("r2")
    return Row("S4", f"{KINDS[kind]}: the map is Gaussian", "Gaussian", r2, above(r2, GAUSSIAN_ENOUGH), shot.how, "R²")


def _size_row(shot: Shot, kind: str) -> Row:
    dead = shot.result.samples.dead
    note = f"{dead} of {shot.result.samples.used} runs dead, channels summed"
    size = shot.quantity("erf_size")
    return Row("S4", f"{KINDS[kind]}: ERF of TRF 41", "not given", size, Verdict.MEASURED, shot.how, "px", note)


def _dead_row(bench: Bench) -> Row:
    shot = bench.measure(f"preset:plain-{DEPTH}-relu", inputs=1, draws=RUNS, channels=[0])
    share = shot.result.samples.dead / shot.result.samples.used
    error = (share * (1 - share) / shot.result.samples.used) ** 0.5
    return Row(
        id="S4",
        claim="ReLU: share of dead runs of a single channel",
        published="0.5 (by symmetry)",
        ours=Quantity(share, error),
        verdict=agrees(Quantity(share, error), 0.5, 0.0),
        how=shot.how,
        note="the last layer's weights are as likely the negative of what they are",
    )


def dropout(bench: Bench) -> Finding:
    """S5: with active dropout the normalised map keeps its shape."""
    draws, repeats = bench.choose((25, 4), (100, 6))
    kept, dropped = ([_shot(bench, p, draws, seed) for seed in range(repeats)] for p in (0.0, 0.5))
    sigma = tuple(mean_of([shot.quantity("sigma_1").value for shot in shots]) for shots in (dropped, kept))
    rows = [_distance_row(kept, dropped), _sigma_row(sigma[0] / sigma[1], dropped[0])]
    rows += [_r2_row(dropped)]
    panels = [(mean_map(kept), "no dropout"), (mean_map(dropped), "dropout 0.5")]
    picture = Picture("s5-maps", sheet("Dropout, 20 layers with ReLU", panels), f"{draws * repeats} runs each.")
    return Finding(
        rows, [picture], "Dropout 0.5 stands behind each of the 20 ReLUs; its masks are drawn with the weights."
    )


def _net(p: float) -> Architecture:
    conv = Conv(out_channels=16, kernel_size=3, padding="same", bias=False)
    layers: list[AnyLayer] = [conv, Activation(type="relu"), Dropout(p=p, active=p > 0)]
    repeat = Repeat(times=DEPTH, layers=layers)
    size = InputSpec(size=[61, 61])
    return Architecture(name=f"plain-20-relu, dropout {p:g}", input=size, init=Init.KAIMING_NORMAL, layers=[repeat])


def _shot(bench: Bench, p: float, draws: int, seed: int) -> Shot:
    return bench.measure(_net(p), inputs=1, draws=draws, seed=seed)


def mean_map(shots: list[Shot]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """The mean of maps of equal mass, its maximum 1."""
    total = np.sum([shot.map / shot.map.sum() for shot in shots], axis=0, dtype=np.float64)
    scaled: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = total / total.max()
    return scaled


def distance(first: Shot, second: Shot) -> float:
    """Half the sum of absolute differences of two maps of mass 1: 0 for the same shape, 1 for disjoint ones."""
    shapes = [np.asarray(shot.map, dtype=np.float64) / shot.map.sum(dtype=np.float64) for shot in (first, second)]
    return float(np.abs(shapes[0] - shapes[1]).sum() / 2)


def _distance_row(kept: list[Shot], dropped: list[Shot]) -> Row:
    """Between the two nets against what two runs of the same net differ by, which is noise."""
    repeats = len(kept)
    between = mean_of([distance(kept[i], dropped[i]) for i in range(repeats)])
    noise = {
        name: mean_of([distance(shots[i], shots[(i + 1) % repeats]) for i in range(repeats)])
        for name, shots in (("kept", kept), ("dropped", dropped))
    }
    floor = Quantity(
        (noise["kept"].value + noise["dropped"].value) / 2,
        None if (error := joined(noise["kept"].error, noise["dropped"].error)) is None else error / 2,
    )
    excess = between - floor
    return Row(
        id="S5",
        claim="dropout keeps the shape: as far from the map without it as two repeats are from each other",
        published="same shape",
        ours=excess,
        unit="total variation distance beyond noise",
        verdict=within(excess, 0.0, 0.02),
        how=dropped[0].how,
        note=f"{between.value:.3f} between the nets, {floor.value:.3f} between repeats",
    )


def _sigma_row(ratio: Quantity, shot: Shot) -> Row:
    return Row(
        id="S5",
        claim="dropout keeps the width: sigma with and without",
        published="same shape",
        ours=ratio,
        unit="times",
        verdict=within(ratio, 1.0, 0.03),
        how=shot.how,
    )


def _r2_row(dropped: list[Shot]) -> Row:
    r2 = mean_of([shot.quantity("r2").value for shot in dropped])
    verdict = above(r2, GAUSSIAN_ENOUGH)
    return Row("S5", "with dropout the map is Gaussian", "Gaussian", r2, verdict, dropped[0].how, "R²")
