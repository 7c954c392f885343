"""S26: vision transformers mix near and far from the first layer on, ResNets grow (Raghu et al. 2021)."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from erfscope_contract.presets import preset
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import Axis, Series, chart, sheet
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict, mean_of
from erfscope_reproduce.judge import above, below
from erfscope_reproduce.training import fit

if TYPE_CHECKING:
    from torch import Tensor

    from erfscope_intake.spec.blocks import SelfAttention

ID = "S26"
PATCH = 16  # pixels
DEPTHS = {  # name → share of the blocks, and the layer behind them
    "vit-tiny": {(k + 1) / 12: f"blocks.{k}.sequential_0.residual_1" for k in (0, 2, 5, 8, 11)},
    "resnet18": {s / 4: f"layer{s}.residual_1.sum" for s in (1, 2, 3, 4)},
}
WORDS = {"vit-tiny": "ViT-Ti/16", "resnet18": "ResNet-18"}
METRIC = "mass_99_side"
REMARK = """\
Raghu, Unterthiner, Kornblith, Zhang and Dosovitskiy, "Do Vision Transformers See Like Convolutional Neural Networks?"
(NeurIPS 2021), show it by mean attention distance and ERF pictures of trained networks. **Not comparable in numbers,
because their weights are trained and ours are random**: untrained attention is nearly even, so its mean distance is
that between any two patches, where trained heads of low layers are near or far. What the layout alone gives holds here
too. Size: the side of the box around the unit with 99 % of the map, because half of a ViT's map lies in the unit's own
patch; the unit is not in the middle of the image, so the box may be larger than the image."""


def near_and_far(bench: Bench) -> Finding:
    """S26: the field behind blocks of a ViT and of a ResNet, and the mean attention distance."""
    inputs = bench.choose(2, 6)
    shots = {
        name: {share: bench.measure(f"preset:{name}", inputs=inputs, layer=layer) for share, layer in layers.items()}
        for name, layers in DEPTHS.items()
    }
    rows = [_early_row(name, list(found.values())) for name, found in shots.items()]
    rows += [_side_row(name, share, shot) for name, found in shots.items() for share, shot in found.items()]
    distances = attention_distances(fit.drawn(preset("vit-tiny"), 0).input_shape[1])
    rows += [_distance_row(number, distances) for number in (0, len(distances) - 1)]
    return Finding(rows, [_chart(shots), _maps(shots)], REMARK)


def _early_row(name: str, shots: list[Shot]) -> Row:
    first, last = shots[0].quantity(METRIC), shots[-1].quantity(METRIC)
    ratio = first / last
    wide = name == "vit-tiny"
    return Row(
        id=ID,
        claim=f"{WORDS[name]}: behind the first {'block' if wide else 'stage'} the field is "
        f"{'nearly as wide as' if wide else 'far smaller than'} at the end",
        published="near and far from the start" if wide else "grows",
        ours=ratio,
        unit="times",
        verdict=above(ratio, 0.8) if wide else below(ratio, 0.5),
        how=shots[0].how,
        note=f"{METRIC}: {first.value:.0f} px and {last.value:.0f} px, input 224 px",
    )


def _side_row(name: str, share: float, shot: Shot) -> Row:
    claim = f"{WORDS[name]}, behind {share:.0%} of the blocks: box with 99 % of the map"
    note = f"box with half of it: {shot.quantity('mass_50_side').value:.1f} px"
    return Row(ID, claim, "picture, trained", shot.quantity(METRIC), Verdict.MEASURED, shot.how, "px", note)


def attention_distances(side: int) -> list[Quantity]:
    """For each block of ViT-Ti with random weights, the mean distance that attention reaches over, in pixels.

    Mean over heads, with the standard error over them; the weights are those that one noise image of `side` px gives.
    """
    from erfscope_intake.spec.blocks import SelfAttention

    network = fit.drawn(preset("vit-tiny"), 0)
    distances = list[Quantity]()
    grid = side // PATCH
    between = distances_between(grid)
    hooks = [
        module.register_forward_pre_hook(
            lambda module, args: distances.append(_mean_distance(module, args[0], between))
        )
        for module in fit.modules(network)
        if isinstance(module, SelfAttention)
    ]
    fit.forward(network, np.random.default_rng(0).standard_normal((1, 3, side, side)).astype(np.float32))
    for hook in hooks:
        hook.remove()
    return distances


def distances_between(grid: int) -> NDArray[np.float64]:
    """Distances between the centres of all pairs of patches [grid², grid²], pixels."""
    places = np.stack(np.meshgrid(np.arange(grid), np.arange(grid), indexing="ij"), -1).reshape(-1, 2) * float(PATCH)
    return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=-1))


def _mean_distance(module: "SelfAttention", x: "Tensor", between: NDArray[np.float64]) -> Quantity:
    """The attention's shares, as the module itself computes them, times the distances."""
    import torch

    tokens = x.flatten(2).transpose(1, 2)
    width = x.shape[1] // module.heads
    with torch.no_grad():
        q, k, _ = module.qkv(tokens).reshape(1, -1, 3, module.heads, width).permute(2, 0, 3, 1, 4).unbind(0)
        share = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(width), dim=-1)[0].double().numpy()
    return mean_of((share * between).sum(-1).mean(-1).tolist())


def _distance_row(number: int, distances: list[Quantity]) -> Row:
    even = float(distances_between(14).mean())
    claim = f"ViT-Ti/16, block {number + 1}: mean attention distance with random weights"
    note = f"even attention: {even:.1f} px; the error is over heads"
    how = "preset:vit-tiny, one image of noise, 224×224"
    return Row(ID, claim, "near and far heads, trained", distances[number], Verdict.MEASURED, how, "px", note)


def _chart(shots: dict[str, dict[float, Shot]]) -> Picture:
    series = []
    for color, (name, found) in enumerate(shots.items()):
        sizes = [shot.quantity(METRIC) for shot in found.values()]
        values, errors = [one.value for one in sizes], [one.error or 0.0 for one in sizes]
        series.append(Series(WORDS[name], list(found), values, errors, color=color))
    png = chart("Field against depth", Axis("share of the blocks"), Axis("box with 99 % of the map (px)"), series)
    return Picture("s26-depth", png, "Random weights, input 224×224; bars are one standard error over inputs.")


def _maps(shots: dict[str, dict[float, Shot]]) -> Picture:
    panels = []
    for name, found in shots.items():
        ends = list(found.items())
        panels += [(shot.map, f"{WORDS[name]}, {share:.0%} of the blocks") for share, shot in (ends[0], ends[-1])]
    return Picture("s26-maps", sheet("First and last", panels, columns=2), "Colours as √ of the map.")
