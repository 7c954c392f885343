"""The pages of the atlas: docs/atlas.md with its table, docs/atlas.csv, and the charts, from the rows of a run."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.atlas_chart import Point, scatter
from benchmarks.atlas_networks import OF_A_FAMILY, SIDE, entries
from benchmarks.atlas_seen import beside_araujo, seen
from benchmarks.timm_networks import OPEN, SMALL

VERIFIED = 1e-6  # the largest relative difference from plain autograd of a row that is shown
COLUMNS = {
    "network": "name in its library; *k re-drawn*: parameters that close a branch before training (see below)",
    "family": "module of the library that builds it",
    "layer": "the measured layer, chosen by `auto`; *classifier* layers behind it have no units along space",
    "TRF": "theoretical receptive field of the layer's middle unit, pixels; *global*: an operator makes it the image",
    "stride": "pixels from one unit to the next; – where neighbours do not move by it",
    "align": "pixels by whose multiples an image may move so that all tensors just move along; – where global",
    "centre": "where the unit sits, pixels, by the shallowest path",
    "ERF": "Luo's effective size (2 sigma) ± standard error, pixels",
    "mass 50": "side of the box around the centre that holds half of the gradient, pixels",
    "r 50": "that box over the image, percent of the area",
    "depth": "layers with weights along the longest chain up to the layer",
    "border": "position of the first layer with weights whose input reads more than the image by the longest path / by "
    "the shortest, of how many layers with weights; – where none does",
    "G": "multiply-adds of the whole network for an image, in 10⁹",
    "M": "parameters of the whole network, in 10⁶",
    "source": "the library",
}
CSV = ("source", "family", "network", "layer", "unit", "trf", "global", "stride", "alignment", "center", "erf",
       "erf_stderr", "mass_50", "mass_50_stderr", "r_20", "r_30", "r_50", "r_99", "depth", "weighted_layers",
       "border", "border_at", "border_shortest", "border_shortest_at", "macs", "parameters", "redrawn", "samples",
       "channels", "verify", "versions")  # fmt: skip
CHARTS = {
    "trf": ("ERF against TRF (networks without a global TRF)", "TRF (px)", "ERF (px)"),
    "depth": ("ERF against depth", "layers with weights on the longest chain", "ERF (px)"),
    "macs": ("ERF against multiply-adds", "multiply-adds (10⁹)", "ERF (px)"),
}
Row = Mapping[str, Any]


def write(rows: Sequence[Row], docs: Path) -> None:
    """Write atlas.md, atlas.csv and images/atlas/*.svg in the folder `docs`."""
    good = shown(rows)
    pictures = docs / "images" / "atlas"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, (title, x, y) in CHARTS.items():
        (pictures / f"{name}.svg").write_text(scatter(title, x, y, _points(good, name)), "utf-8")
    (docs / "atlas.csv").write_text(as_csv(good), "utf-8")
    (docs / "atlas.md").write_text(page(rows), "utf-8")


def shown(rows: Sequence[Row]) -> list[Row]:
    """The last row of each network, where it has a verified measurement; by source, family and name."""
    last = {(row["source"], row["network"]): row for row in rows}
    good = [row for row in last.values() if "refused" not in row and row["verify"] <= VERIFIED]
    return sorted(good, key=lambda row: (row["source"], row["family"], row["network"]))


def _points(rows: Sequence[Row], chart: str) -> list[Point]:
    marked = [row for row in rows if chart != "trf" or not row["global"]]
    return [Point(row["source"], row["network"], _abscissa(row, chart), row["erf"]) for row in marked]


def _abscissa(row: Row, chart: str) -> float:
    return float({"trf": max(row["trf"]), "depth": row["depth"], "macs": row["macs"] / 1e9}[chart])


def as_csv(rows: Sequence[Row]) -> str:
    """The rows as comma-separated values; values per axis are joined by ×."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV)
    writer.writerows([_cell(_flat(row)[name]) for name in CSV] for row in rows)
    return out.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    shares = {f"r_{share.removeprefix('0.')}": ratio for share, ratio in row["r"].items()}
    errors = {"erf_stderr": row["stderr"]["erf_size"], "mass_50_stderr": row["stderr"]["mass_50_side"]}
    return {**row, **shares, **errors}


def _cell(value: Any) -> Any:
    return "×".join("" if one is None else f"{one:g}" for one in value) if isinstance(value, list) else value


def page(rows: Sequence[Row]) -> str:
    """The page in Markdown."""
    good = shown(rows)
    table = [tuple(COLUMNS), tuple("---" for _ in COLUMNS), *map(_line, good)]
    return TEXT.format(
        seen=seen(good),
        columns="\n".join(f"| {name} | {meaning} |" for name, meaning in COLUMNS.items()),
        charts="\n\n".join(f"![{title}](images/atlas/{name}.svg)" for name, (title, *_) in CHARTS.items()),
        araujo=beside_araujo(good),
        table="\n".join("| " + " | ".join(line) + " |" for line in table),
        so_far=_so_far(rows),
        missing=_missing(rows, good),
        versions="; ".join(sorted({row["versions"] for row in good})),
    )


def _line(row: Row) -> Sequence[str]:
    redrawn = f" ({row['redrawn']} re-drawn)" if row["redrawn"] else ""
    error = row["stderr"]["erf_size"]
    border = "/".join("–" if row[at] is None else str(row[at] + 1) for at in ("border_at", "border_shortest_at"))
    return (
        row["network"] + redrawn,
        row["family"],
        f"`{row['layer']}`",
        "global" if row["global"] else _sides(row["trf"]),
        _sides(row["stride"]),
        _sides(row["alignment"]),
        _sides(row["center"]),
        f"{row['erf']:.0f}" + (f" ± {error:.1g}" if error is not None and error < 10 else f" ± {error or 0:.0f}"),
        "–" if row["mass_50"] is None else f"{row['mass_50']:.0f}",
        "–" if row["r"]["0.50"] is None else f"{100 * row['r']['0.50']:.1f}",
        str(row["depth"]),
        f"{border} of {row['weighted_layers']}",
        f"{row['macs'] / 1e9:.3g}",
        f"{row['parameters'] / 1e6:.3g}",
        row["source"],
    )


def _sides(values: Sequence[float | None] | None) -> str:
    """One number where the axes agree, else one per axis."""
    parts = [] if values is None else ["–" if value is None else f"{value:g}" for value in values]
    return "–" if not parts else parts[0] if len(set(parts)) == 1 else "×".join(parts)


def _so_far(rows: Sequence[Row]) -> str:
    """How much of the list a run has tried, where it is not at its end: the sentences are of these networks alone."""
    tried, all_of_them = {row["network"] for row in rows}, [entry.network for entry in entries()]
    count = sum(network in tried for network in all_of_them)
    if count == len(all_of_them):
        return "All networks of the list were tried."
    return f"**A beginning: {count} of the {len(all_of_them)} networks of the list were tried, the lightest first.**"


def _missing(rows: Sequence[Row], good: Sequence[Row]) -> str:
    """What was tried and is not in the table, with its reason."""
    there = {(row["source"], row["network"]) for row in good}
    gone = {(row["source"], row["network"]): row for row in rows if (row["source"], row["network"]) not in there}
    if not gone:
        return "Every network that was tried is in the table."
    return "Not in the table: " + "; ".join(f"{name} ({_reason(row)})" for (_, name), row in sorted(gone.items())) + "."


def _reason(row: Row) -> str:
    if "refused" in row:
        return str(row["refused"]).split(". ")[0].replace("|", "/").replace("<", "‹").rstrip(".")[:110]
    return f"its gradient differs from plain autograd's by {row['verify']:.0e}"


TEXT = f"""# The atlas of receptive fields

What networks of torchvision and timm see: theoretical and effective receptive fields, strides, centres and costs, all
measured by one command, every row checked. Araujo, Norris and Sim's table of 2019 stops at MobileNet v1; this one
goes on. As a file: [atlas.csv](atlas.csv).

{{so_far}}

{{seen}}

{{charts}}

## How it is measured

Images of {SIDE}×{SIDE} pixels of noise; weights random, seed 0. The list has all classifiers of torchvision and, of
each family of timm, up to {OF_A_FAMILY} networks whose names promise to be small. The unit is the middle one of the
layer that `auto` takes, mostly the last feature map. The ERF is the mean of the absolute gradient over 8 samples, 4
where a network takes more than 10⁹ multiply-adds; ± is one standard error over these samples and does not cover
other draws of the weights. A row is shown if the gradient of one sample agrees with plain autograd's on the whole
network, in float64, to {VERIFIED:g} (relative).

Before training many networks close their branches: a layer scale of 1e-6, a last γ of 0. The ERF of such a network is
that of its shortcuts. So every parameter whose entries all lie below {SMALL:g}, but for biases, tokens, positions and
heads, is re-drawn: a scale (one number per channel) uniform in [{OPEN[0]}, {OPEN[1]}], a matrix normal with variance
1 / columns.

A row with a tiny ERF and a large TRF tells of initialisation, not of architecture: regnet_y_400mf of torchvision sees
4 px, because its shortcuts of 1×1 convolutions drown its blocks. Recomputed by hand with 3 samples: 5.2 px as it is;
69 px with the weights of its grouped convolutions times √groups (their initial scale counts all channels as inputs), 12
px with its squeeze-and-excite gates doubled (they start near ½), 224 px with both.

An ERF of nearly {SIDE} px is cut by the image: a larger image would give a larger one. Trained weights give other
sizes. The border layer is Richter et al.'s (arXiv 2106.12307): from there on, layers see nothing new of an image of
this size by the longest path. Where a skip carries smaller fields on, the shortest path tells for how long.
Squeeze-and-excite and other paths that only carry statistics are left out of it; attention over the whole image
counts as reading all of it.

```text
python -m benchmarks.atlas atlas.jsonl
python -m benchmarks.atlas atlas.jsonl --pages
python -m benchmarks.atlas_check atlas.jsonl --rows 10   # rows by chance, again by autograd written out by hand
```

| column | is |
|---|---|
{{columns}}

## Beside Araujo et al. 2019

{{araujo}}

## The table

{{table}}

{{missing}}

Measured with {{versions}}.

<script src="atlas.js"></script>
"""
