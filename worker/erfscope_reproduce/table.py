"""The table of claims: what the article and its critique say, which figure shows it, and the experiment that asks."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from erfscope._errors import refuse
from erfscope_reproduce import (
    border,
    configuration,
    depth,
    exact,
    growth,
    natural,
    nonlinearity,
    shape,
    spectrogram,
    variance,
)
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.finding import Finding
from erfscope_reproduce.later import attention, large_kernels, rates, replknet, saturation, seen, two_axes, unproductive
from erfscope_reproduce.objects import experiment
from erfscope_reproduce.training import classification, segmentation


@dataclass(frozen=True)
class Claim:
    """One row of the table; `figure` is the article's."""

    id: str
    title: str
    find: Callable[[Bench], Finding]
    figure: str = ""


CLAIMS: tuple[Claim, ...] = (
    Claim("S1", "Kernels of ones give binomial coefficients", exact.ones_kernels),
    Claim("S2", "Random weights: the variance follows kernels of ones", variance.variance_recursion),
    Claim("S3", "Non-uniform kernels: sigma = √(n·Var[X])", exact.non_uniform_kernels),
    Claim("S4", "The shape with ReLU, tanh and sigmoid", nonlinearity.activations, "figure-2"),
    Claim("S5", "Dropout keeps the Gaussian shape", nonlinearity.dropout),
    Claim("S6", "Subsampling enlarges the ERF", configuration.subsampling, "figure-4"),
    Claim("S7", "Dilation enlarges the ERF", configuration.dilation, "figure-4"),
    Claim("S8", "Skip connections shrink the ERF", configuration.skips),
    Claim("S9", "The map is a Gaussian", shape.gaussian_shape, "figure-1"),
    Claim("S10", "The ERF grows like √n and shrinks like 1/√n", growth.growth_and_shrinkage, "figure-3"),
    Claim("S11", "Training enlarges the ERF of a classifier", classification.training, "figure-5"),
    Claim("S12", "A segmentation network before and after training", segmentation.segmentation, "figure-5"),
    Claim("S13", "Initialisation with low centre and high rim", configuration.low_center),
    Claim("S14", "Sparse connections off the grid", configuration.sparse_taps),
    Claim("S15", "One sigma or two", growth.thresholds),
    Claim("S16", "Natural images instead of noise", natural.natural_images),
    Claim("S17", "Other shapes than the Gaussian", shape.rival_shapes),
    Claim("S18", "Units near the border", border.border_units),
    Claim("S19", "Spectrograms, waveforms, non-central weights", spectrogram.axes_apart),
    Claim("S20", "The ERF along depth, and what to change", depth.profiles),
    Claim("S20b", "How much of an object the ERF should hold", experiment.objects),
    Claim("S21", "Layers that see nothing new of an image (Richter 2021)", unproductive.unproductive_layers),
    Claim("S22", "The ERF saturates, strides leave dead pixels (Kim 2021)", saturation.saturation),
    Claim("S23", "The share of a TRF that contributes (Loos 2024)", rates.rates),
    Claim("S24", "How often each pixel is seen (Alsallakh 2021)", seen.seen_pixels),
    Claim("S25", "Frequency and time apart (Koutini 2019)", two_axes.frequency_apart),
    Claim("S26", "Near and far from the first layer on (Raghu 2021)", attention.near_and_far),
    Claim("S27", "RepLKNet's area ratio for ResNets (Ding 2022)", replknet.area_ratios),
    Claim("S28", "Large kernels break the Gaussian shape (UniConvNet 2025)", large_kernels.broken_shape),
)

ALL = "all"
TRAINING = {
    "training": ("S11",),
    "segmentation": ("S12",),
    "objects": ("S20b",),
}  # words for claims that people ask for by name


def choose(words: Sequence[str]) -> list[Claim]:
    """The claims that ids (S10), figures (figure-3) or `all` name, in the table's order."""
    wanted = {id for word in words for id in _meant(word)}
    return [claim for claim in CLAIMS if claim.id in wanted]


def _meant(word: str) -> Sequence[str]:
    asked = word.strip().lower()
    by_figure: dict[str, list[str]] = {}
    for claim in CLAIMS:
        by_figure.setdefault(claim.figure, []).append(claim.id)
    by_figure.pop("", None)
    known: dict[str, Sequence[str]] = {ALL: [claim.id for claim in CLAIMS], **by_figure, **TRAINING}
    known |= {claim.id.lower(): (claim.id,) for claim in CLAIMS}
    if asked not in known:
        near = difflib.get_close_matches(asked, known, n=3, cutoff=0.5) or [
            ALL,
            *sorted(by_figure),
            *TRAINING,
            f"{CLAIMS[0].id} … {CLAIMS[-1].id}".lower(),
        ]
        raise refuse("bad-request", f"there is nothing called {word!r} to reproduce; there is {', '.join(near)}")
    return known[asked]
