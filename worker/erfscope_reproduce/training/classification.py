"""S11: training enlarges the ERF of a classifier (figure 5, left)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from erfscope_contract.presets import preset
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import Axis, Series, chart, sheet
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict, mean_of
from erfscope_reproduce.judge import above
from erfscope_reproduce.training import fit
from erfscope_reproduce.training.pictures import Labelled, labelled

if TYPE_CHECKING:
    from torch import Tensor

    from erfscope_engine.network import Network

NET = "cifar-resnet17"
WIDE = 97  # an input that holds the whole TRF of 73
BATCH = 64
VIEWS = {"images": "on test images, 32×32", "noise": f"on noise, {WIDE}×{WIDE}, where nothing is cut off"}
METRICS = {"erf_size": "ERF size", "sigma_1": "sigma", "mass_50_side": "box with half of the mass"}

REMARK = """\
The network is our reading of "17 residual blocks, TRF about 74": bottleneck blocks in stages of 6, 6 and 5, TRF 73.
Before training, batch normalisation has the statistics of the data, as in the first training step. On 32×32 images the
ERF cannot be larger than 32; the same weights on a larger input show what the border hides. What is not
confirmed here speaks of these data and this many steps: the article trained on CIFAR-10 to the end, which `--data`
repeats as far as the steps reach. """


@dataclass(frozen=True)
class Moment:
    """The network after so many steps: accuracy on the test set, and its ERF in each view."""

    step: int
    accuracy: float
    shots: dict[str, Shot]


def training(bench: Bench) -> Finding:
    """S11: before, along and after training, over several trained networks."""
    data = labelled(_cifar_folder(bench))
    seeds, checkpoints = bench.choose((1, (0, 10, 20)), (3, (0, 10, 25, 50, 100, 150)))
    runs = [_run(bench, data, seed, checkpoints) for seed in range(seeds)]
    rows = [_growth_row(runs, view, metric, data) for view in VIEWS for metric in METRICS]
    rows += [row for view in VIEWS for row in _size_rows(runs, view, data)]
    rows.append(_accuracy_row(runs, data))
    return Finding(
        rows, [_trend(runs, checkpoints), _maps(runs[0])], REMARK + f"Data: {data.name}, {seeds} training run(s)."
    )


def _cifar_folder(bench: Bench) -> Path | None:
    return None if bench.data is None or (bench.data / "trainannot").is_dir() else bench.data


def _run(bench: Bench, data: Labelled, seed: int, checkpoints: Sequence[int]) -> list[Moment]:
    network, batches = fit.drawn(preset(NET), seed), _batches(data, seed)
    moments, step = [], 0
    for goal in checkpoints:
        fit.train(network, batches, goal - step, _loss, lambda share: bench.progress("train", share))
        fit.settle(network, batches)
        step = goal
        moments.append(Moment(step, _accuracy(network, data), _measured(bench, network, data, seed, step)))
    return moments


def _batches(data: Labelled, seed: int) -> Iterator[fit.Batch]:
    draw = np.random.default_rng(seed)
    while True:
        chosen = draw.integers(0, len(data.images), BATCH)
        yield data.images[chosen], data.classes[chosen]


def _loss(out: "Tensor", truth: "Tensor") -> "Tensor":
    from torch.nn import functional

    return functional.cross_entropy(out, truth)


def _accuracy(network: "Network", data: Labelled) -> float:
    shown, truth = data.test_images[:500], data.test_classes[:500]
    found = fit.forward(network, shown).argmax(dim=1).numpy()
    return float((found == truth).mean())


def _measured(bench: Bench, network: "Network", data: Labelled, seed: int, step: int) -> dict[str, Shot]:
    inputs = bench.choose(16, 64)
    wide = replace(network, input_shape=(3, WIDE, WIDE))
    how = f"{NET}, seed {seed}, {step} steps of {BATCH}"
    return {
        "images": bench.measure_network(network, how, list(data.test_images[:inputs]), inputs=inputs),
        "noise": bench.measure_network(wide, how, inputs=inputs),
    }


def _ratio(runs: list[list[Moment]], view: str, metric: str) -> Quantity:
    """After over before: the mean over training runs; of a single one, with the error over inputs."""
    ratios = [run[-1].shots[view].quantity(metric) / run[0].shots[view].quantity(metric) for run in runs]
    return ratios[0] if len(ratios) == 1 else mean_of([ratio.value for ratio in ratios])


def _growth_row(runs: list[list[Moment]], view: str, metric: str, data: Labelled) -> Row:
    ratio = _ratio(runs, view, metric)
    return Row(
        id="S11",
        claim=f"training on {data.name} enlarges the {METRICS[metric]} ({VIEWS[view]})",
        published="larger after training",
        ours=ratio,
        unit="times",
        verdict=above(ratio, 1.0),
        how=runs[0][-1].shots[view].how,
        note=_error_of(runs),
    )


def _error_of(runs: list[list[Moment]]) -> str:
    return (
        "the error is over test inputs of one trained network"
        if len(runs) == 1
        else f"the error is over {len(runs)} runs"
    )


def _size_rows(runs: list[list[Moment]], view: str, data: Labelled) -> list[Row]:
    rows = []
    for index, when in ((0, "before"), (-1, "after")):
        sizes = [run[index].shots[view].quantity("erf_size") for run in runs]
        size = sizes[0] if len(sizes) == 1 else mean_of([size.value for size in sizes])
        shot = runs[0][index].shots[view]
        note = f"TRF {shot.result.trf.size[0]}"
        rows.append(
            Row("S11", f"ERF {when} training ({VIEWS[view]})", "picture", size, Verdict.MEASURED, shot.how, "px", note)
        )
    return rows


def _accuracy_row(runs: list[list[Moment]], data: Labelled) -> Row:
    reached = mean_of([run[-1].accuracy for run in runs])
    return Row(
        id="S11",
        claim="accuracy on the test set after training: the network has learnt something (chance is 0.1)",
        published="89 % (recalled) on CIFAR-10",
        ours=reached,
        verdict=above(reached, 0.2),
        how=runs[0][-1].shots["images"].how,
        note=f"first 500 test images of {data.name}",
    )


def _trend(runs: list[list[Moment]], checkpoints: Sequence[int]) -> Picture:
    series = []
    for view, words in VIEWS.items():
        sizes = [
            mean_of([run[i].shots[view].quantity("erf_size").value for run in runs]) for i in range(len(checkpoints))
        ]
        alone = [runs[0][i].shots[view].quantity("erf_size").error or 0.0 for i in range(len(checkpoints))]
        errors = [size.error if size.error is not None else one for size, one in zip(sizes, alone, strict=True)]
        series.append(Series(words, checkpoints, [size.value for size in sizes], errors))
    png = chart("Along training", Axis("training steps"), Axis("ERF size (px)"), series)
    return Picture("s11-trend", png, "ERF size along training; bars are one standard error.")


def _maps(run: list[Moment]) -> Picture:
    panels = [
        (moment.shots[view].map, f"{view}, {moment.step} steps, accuracy {moment.accuracy:.2f}")
        for view in VIEWS
        for moment in (run[0], run[-1])
    ]
    return Picture("s11-maps", sheet("Figure 5: before and after training", panels, columns=2), "The first run.")
