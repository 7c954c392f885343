"""S21: layers that see nothing new of an image, by the TRF (Richter et al. 2021) and by the ERF."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from erfscope_contract.presets import preset
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.judge import below
from erfscope_reproduce.training import fit

if TYPE_CHECKING:
    from erfscope_engine.advice.border import Border
    from erfscope_engine.network import Network

ID = "S21"
CHAINS = {"vgg16": "VGG-16", "mobilenet-v1": "MobileNet v1"}  # one path each: a layer's input is the row before it
BRANCHED = "resnet18"
SMALL = 32  # pixels: the images of CIFAR-10, on which the paper trains
IMAGES = (SMALL, 96)
SHAPE = [3, 352, 352]  # of the input: holds the whole TRF of each chain
LARGEST = 600  # pixels: larger than the longest path of ResNet-18
SOURCE = "counted without training; no figure of this network is taken over"
REMARK = """\
Richter, Schöning, Wiedenroth and Krumnack (arXiv 2106.12307, and "Receptive Field Analysis", 2024) call a layer
unproductive where the TRF of its *input* already exceeds the image; the first such is the border layer. The same with
the ERF (method `analytic`: expected squares, nothing is drawn) is ours: pixels at the rim of a TRF count for little, so
by the ERF a network suits smaller images. Images that no layer exceeds by its shortest path, but some by their longest,
are the interval of resolutions that they recommend."""


@dataclass(frozen=True)
class Depth:
    """Sizes of the fields that the convolutions of a chain take in, in order, pixels."""

    trf: Sequence[float]
    erf: Sequence[float]


def unproductive_layers(bench: Bench) -> Finding:
    """S21: unproductive layers for small images, and the smallest image that has none."""
    chains = bench.choose({"mobilenet-v1": CHAINS["mobilenet-v1"]}, CHAINS)
    depths = {name: depth_of(bench, name) for name in chains}
    rows = [row for name, depth in depths.items() for row in _chain_rows(chains[name], depth)]
    rows += _path_rows(fit.drawn(preset(BRANCHED), 0))
    return Finding(rows, [_picture(chains, depths)], REMARK)


def depth_of(bench: Bench, name: str) -> Depth:
    """The fields that a preset's convolutions take in: of the row before each; the first takes in single pixels."""
    layers = bench.measure(f"preset:{name}", method="analytic", layers="all", input_shape=SHAPE).result.layers
    before = [first for first, second in pairwise(layers) if second.operator == "conv"]
    return Depth([1.0, *(max(row.trf_size) for row in before)], [1.0, *(row.erf_size or 0.0 for row in before)])


def behind(sizes: Sequence[float], image: float) -> int:
    """How many layers take in more than the image."""
    return sum(size > image for size in sizes)


def _chain_rows(words: str, depth: Depth) -> list[Row]:
    count, how = len(depth.trf), f"method=analytic, layers=all, input_shape={SHAPE}"
    less = Quantity(depth.erf[-1] / depth.trf[-1], 0.0)
    return [
        *(
            _row(
                f"{words}, {image} px: convolutions that see nothing new by the {by}",
                behind(sizes, image),
                how,
                f"of {count}",
            )
            for image in IMAGES
            for by, sizes in (("TRF", depth.trf), ("ERF", depth.erf))
        ),
        Row(
            id=ID,
            claim=f"{words}: by the ERF a smaller image is large enough for all {count} convolutions",
            published="not treated",
            ours=less,
            unit="times the image by the TRF",
            verdict=below(less, 1.0),
            how=how,
            note=f"{depth.erf[-1]:.0f} px by the ERF, {depth.trf[-1]:.0f} px by the TRF",
        ),
    ]


def _row(claim: str, count: int, how: str, unit: str) -> Row:
    return Row(ID, claim, SOURCE, Quantity(count, 0.0), Verdict.MEASURED, how, unit)


def smallest_image(network: "Network", path: str) -> int:
    """The side of the smallest square image in which no layer is unproductive by its `longest` or `shortest` path."""
    low, high = SMALL, LARGEST
    while low < high:
        middle = (low + high) // 2
        if getattr(border_at(network, middle), path) is None:
            high = middle
        else:
            low = middle + 1
    return low


def border_at(network: "Network", side: int) -> "Border":
    """The border layer for images of that side."""
    from erfscope_engine.advice.border import border_in

    return border_in(replace(network, input_shape=(network.input_shape[0], side, side)))


def _path_rows(network: "Network") -> list[Row]:
    how = f"preset:{BRANCHED}, traced for images of {SMALL} to {LARGEST} px"
    border = border_at(network, 2 * SMALL)
    assert border.longest is not None  # its TRF is 435 px
    assert border.shortest is not None
    return [
        *(
            _row(f"ResNet-18: smallest image without unproductive layers by the {path} path",
                 smallest_image(network, path), how, "px")
            for path in ("shortest", "longest")
        ),
        _row(f"ResNet-18, {2 * SMALL} px: unproductive layers by the longest path",
             len(border.layers) - border.longest, how, f"of {len(border.layers)}"),
        _row(f"ResNet-18, {2 * SMALL} px: unproductive layers by the shortest path, which skips keep short",
             len(border.layers) - border.shortest, how, f"of {len(border.layers)}"),
    ]  # fmt: skip


def _picture(chains: dict[str, str], depths: dict[str, Depth]) -> Picture:
    series = []
    for color, (name, depth) in enumerate(depths.items()):
        order = list(range(1, len(depth.trf) + 1))
        series.append(Series(f"{chains[name]}: TRF", order, depth.trf, dashed=True, marks=False, color=color))
        series.append(Series(f"{chains[name]}: ERF", order, depth.erf, color=color))
    longest = max(len(depth.trf) for depth in depths.values())
    series.append(Series(f"image of {SMALL} px", [1, longest], [SMALL, SMALL], marks=False, dashed=True, color=2))
    png = chart("What convolutions take in", Axis("convolution"), Axis("field of the input (px)", log=True), series)
    return Picture("s21-inputs", png, f"Convolutions above the line see nothing new of an image of {SMALL} px.")
