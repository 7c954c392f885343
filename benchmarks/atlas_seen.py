"""What one sees in the atlas, as sentences with numbers, and Araujo et al.'s fields beside ours."""

from collections.abc import Mapping, Sequence
from statistics import correlation, median
from typing import Any

from benchmarks.atlas_networks import SIDE

FULL = 0.9  # an ERF over this share of the image counts as cut by it
# Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, by our networks.
ARAUJO = {
    "alexnet": ("AlexNet v2", 195, ""),
    "vgg16": ("VGG-16", 212, ""),
    "mobilenetv1_100": ("MobileNet v1", 315, ""),
    "inception_v3": ("Inception v3", 1311, ""),
    "inception_v4": ("Inception v4", 2071, ""),
    "resnet50": ("ResNet-v1-50", 483, "v1 halves in the 1×1 convolution of a block, torchvision in the 3×3"),
    "resnet101": ("ResNet-v1-101", 1027, "the same"),
    "resnet152": ("ResNet-v1-152", 1507, "the same"),
}
Row = Mapping[str, Any]


def seen(rows: Sequence[Row]) -> str:
    """The sentences under the title."""
    finite = [row for row in rows if not row["global"]]
    families = len({(row["source"], row["family"]) for row in rows})
    parts = [
        f"**{len(rows)} networks of {families} families; {len(rows) - len(finite)} have a global TRF.**",
        *([_spread(finite)] if finite else []),
        _ranks(rows, finite),
        _borders(rows),
    ]
    return "\n".join(parts)


def _spread(finite: Sequence[Row]) -> str:
    trf, erf = [max(row["trf"]) for row in finite], [row["erf"] for row in finite]
    share = median(e / t for e, t in zip(erf, trf, strict=True))
    full = sum(e > FULL * SIDE for e in erf)
    return (
        f"Where the TRF is not global, it lies between {min(trf)} and {max(trf)} px, the ERF at random weights "
        f"between {min(erf):.0f} and {max(erf):.0f} px, in the median {share:.0%} of the TRF; {full} of "
        f"these {len(finite)} fill more than {FULL:.0%} of the image."
    )


def _ranks(rows: Sequence[Row], finite: Sequence[Row]) -> str:
    def against(name: str, chosen: Sequence[Row], values: Sequence[float]) -> str:
        rank = spearman(values, [row["erf"] for row in chosen])
        return f"{name} {'–' if rank is None else f'{rank:.2f}'}"

    return "Rank correlation (Spearman) of the ERF with: " + ", ".join((
        against("TRF", finite, [max(row["trf"]) for row in finite]),
        against("depth", rows, [row["depth"] for row in rows]),
        against("multiply-adds", rows, [row["macs"] for row in rows]),
        against("parameters", rows, [row["parameters"] for row in rows]),
    )) + "."  # fmt: skip


def _borders(rows: Sequence[Row]) -> str:
    behind = [1 - row["border_at"] / row["weighted_layers"] for row in rows if row["border_at"] is not None]
    shortest = [row for row in rows if row["border_shortest_at"] is not None]
    tail = f", in the median {median(behind):.0%} of their layers with weights" if behind else ""
    return (
        f"At {SIDE} px {len(behind)} of {len(rows)} have layers whose input already reads the whole image by its "
        f"longest path{tail}; by the shortest path, which skips keep short, {len(shortest)} have."
    )


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Rank correlation, ties by their mean rank; None for fewer than 3 pairs or where one side is constant."""
    if len(x) < 3 or len(set(x)) == 1 or len(set(y)) == 1:
        return None
    return correlation(_ranked(x), _ranked(y))


def _ranked(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    first = {value: k for k, value in reversed(list(enumerate(ordered)))}
    return [first[value] + (ordered.count(value) - 1) / 2 for value in values]


def beside_araujo(rows: Sequence[Row]) -> str:
    """Their TRF and ours where a network is in both tables."""
    pairs = [(row, ARAUJO[row["network"]]) for row in rows if row["network"] in ARAUJO]
    if not pairs:
        return "None of their networks is in the table."
    lines = [
        f"| {theirs} | {size} | {row['network']} ({row['source']}) | {_size(row)} | "
        f"{'equal' if row['trf'] == [size, size] and not row['global'] else why or 'another layer or definition'} |"
        for row, (theirs, size, why) in pairs
    ]
    return "\n".join(["| theirs | TRF (px) | ours | TRF (px) | why |", "|---|---|---|---|---|", *lines])


def _size(row: Row) -> str:
    return "global" if row["global"] else "×".join(map(str, dict.fromkeys(row["trf"])))
