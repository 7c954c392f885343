"""S13: whether networks that start with a low centre and a high rim learn faster than with Kaiming's weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from erfscope_contract.architecture import AnyLayer, Architecture, InitOptions, InputSpec
from erfscope_contract.architecture.base import Init
from erfscope_contract.architecture.layers import Conv
from erfscope_contract.architecture.pointwise import Activation, BatchNorm
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.finding import Picture, Quantity, Row, Verdict, mean_of
from erfscope_reproduce.judge import below
from erfscope_reproduce.objects import scenes, trials
from erfscope_reproduce.training import fit

if TYPE_CHECKING:
    from erfscope_engine.network import Network

DEPTH, CHANNELS = 10, 8  # a TRF of 21 px
CASES = {6: (0.5, 100), 9: (0.3, 160)}  # radius of the discs → IoU to be reached, training steps
TESTS = 3  # batches of scenes on which the IoU is counted
BATCH = 8  # scenes of a step
SETTLED = 4  # batches from which normalisation reads its statistics before each look
LOOKS = 10  # steps between two looks
STARTS = {"Kaiming": Init.KAIMING_NORMAL, "low centre": Init.LOW_CENTER}
PUBLISHED = "30 % faster in a few cases"
HOW = (
    f"{DEPTH} 3×3 convolutions of {CHANNELS} channels with normalisation, AdamW, {BATCH} scenes a step; "
    "{seeds} seeds, geometric mean of their ratios"
)
Curve = tuple[Sequence[int], Sequence[float]]  # steps, scores


@dataclass(frozen=True)
class Lesson:
    """What is learnt: scenes of discs of one radius, up to an IoU on scenes that were not trained on."""

    radius: int
    level: float
    steps: int
    tests: Sequence[scenes.Batch]

    @property
    def name(self) -> str:
        """`discs of 12 px`."""
        return f"discs of {2 * self.radius} px"


def network_of(init: Init) -> Architecture:
    """DEPTH plain 3×3 convolutions with normalisation and ReLU, and a classifier of each pixel."""
    unit: list[AnyLayer] = [
        Conv(out_channels=CHANNELS, kernel_size=3, padding=1, bias=False),
        BatchNorm(),
        Activation(type="relu"),
    ]
    return Architecture(
        name=f"plain-{DEPTH}, {init.value}",
        input=InputSpec(channels=1, size=[scenes.SIDE, scenes.SIDE]),
        init=InitOptions(scheme=init),
        layers=[*unit * DEPTH, Conv(name="classes", out_channels=2, kernel_size=1)],
    )


def lessons(bench: Bench) -> list[Lesson]:
    """Discs that are well within the TRF, and discs that nearly fill it: there a larger ERF should help."""
    tests = bench.choose(1, TESTS)
    return [
        Lesson(
            radius,
            level,
            bench.choose(2 * LOOKS, steps),
            list(islice(scenes.batches(radius, BATCH, first=trials.TESTS), tests)),
        )
        for radius, (level, steps) in CASES.items()
    ]


def learnt(lesson: Lesson, init: Init, seed: int) -> Curve:
    """The score every LOOKS steps; networks of one seed see the same batches and draw the same normal numbers."""
    network = fit.drawn(network_of(init), seed)
    fit.lay_out(network)
    batches = scenes.batches(lesson.radius, BATCH, first=seed * 100_000)
    learner = fit.Learner(network, trials.loss)
    at, scores = [0], [_look(lesson, network, seed)]
    for step in range(LOOKS, lesson.steps + 1, LOOKS):
        learner.steps(batches, LOOKS)
        at.append(step)
        scores.append(_look(lesson, network, seed))
    return at, scores


def _look(lesson: Lesson, network: "Network", seed: int) -> float:
    """The IoU with normalisation that has the statistics of scenes which the network is trained on."""
    fit.settle(network, scenes.batches(lesson.radius, BATCH, first=seed * 100_000), SETTLED)
    return trials.iou_of(network, lesson.tests)


def reached(curve: Curve, level: float) -> float | None:
    """The step, on the line between two looks, at which the score first is at the level; None where it never is."""
    for (before, low), (after, high) in pairwise(zip(*curve, strict=True)):
        if high >= level > low:
            return before + (level - low) / (high - low) * (after - before)
    return None


def speed(bench: Bench) -> tuple[list[Row], list[Picture]]:
    """Rows and charts: the steps that both starts need, network by network of one seed."""
    rows, pictures = [], []
    for lesson in lessons(bench):
        seeds = range(bench.choose(2, 6))
        curves = {name: list[Curve]() for name in STARTS}
        for seed in seeds:
            for name, init in STARTS.items():
                bench.progress(f"{lesson.name}, {name}, seed {seed}", seed / len(seeds))
                curves[name].append(learnt(lesson, init, seed))
        rows.append(row_of(lesson, curves))
        pictures.append(_chart(lesson, curves))
    return rows, pictures


def row_of(lesson: Lesson, curves: dict[str, list[Curve]]) -> Row:
    """The ratio of steps, low centre over Kaiming, paired by seed; it is undecided where most of them do not arrive.

    If only one network of a pair reaches the level, the other counts with all its steps. Without such pairs the result
    would depend on which network is better. A pair is left out if neither network reaches the level.
    """
    first, second = ([reached(curve, lesson.level) for curve in curves[name]] for name in STARTS)
    pairs = [(a or lesson.steps, b or lesson.steps) for a, b in zip(first, second, strict=True) if a or b]
    ratio = geometric_mean([b / a for a, b in pairs]) if pairs else Quantity(1.0)
    late = sum(one is None for one in (*first, *second))
    told = [", ".join(f">{lesson.steps}" if one is None else f"{one:.0f}" for one in ones) for ones in (first, second)]
    return Row(
        id="S13",
        claim=f"{lesson.name}: with a low centre fewer steps are needed to an IoU of {lesson.level:g}",
        published=PUBLISHED,
        ours=ratio,
        unit="times the steps with Kaiming's weights",
        verdict=below(ratio, 1.0) if late < len(first) else Verdict.UNDECIDED,
        how=HOW.format(seeds=len(first)),
        note=f"30 % faster would be {1 / 1.3:.2f}; steps by seed: {told[0]} (Kaiming), {told[1]} (low centre)",
    )


def geometric_mean(ratios: Sequence[float]) -> Quantity:
    """The mean of ratios that takes a half and a double for equally far from 1, and its standard error."""
    logs = mean_of([math.log(ratio) for ratio in ratios])
    value = math.exp(logs.value)
    return Quantity(value, None if logs.error is None else value * logs.error)


def _chart(lesson: Lesson, curves: dict[str, list[Curve]]) -> Picture:
    series = []
    for name, ones in curves.items():
        means = [mean_of([scores[k] for _, scores in ones]) for k in range(len(ones[0][0]))]
        series.append(Series(name, ones[0][0], [one.value for one in means], [one.error or 0.0 for one in means]))
    png = chart(
        f"Learning {lesson.name}, TRF {2 * DEPTH + 1} px", Axis("training steps"), Axis("IoU on test scenes"), series
    )
    caption = f"D{lesson.name[1:]}: the mean over {len(ones)} seeds; bars are one standard error."
    return Picture(f"s13-learning-{2 * lesson.radius}", png, caption)
