"""The profile along depth as CSV: one line for each layer, in the order of computation."""

import csv
import io
from collections.abc import Collection, Iterator, Sequence

from erfscope_contract.job import LayerRow
from erfscope_contract.limits import bounds_of_layer
from erfscope_contract.result import ErfResult, LayerProfile
from erfscope_contract.text import for_csv

AXES = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}
MEASURED = ("erf_size", "erf_ratio", "mass_50_side", "mass_99_side")
ERRORS = ("erf_size", "mass_50_side", "mass_99_side")


def profile_csv(result: ErfResult) -> str:
    """Name, operator, shape, stride and TRF per axis (pixels), sizes with their standard errors; empty if undefined.

    `limited` names the sizes of a layer that the input limits, parted by spaces.
    """
    layers = result.layers
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = AXES[len(layers[0].trf_size)] if layers else ()
    per_axis = [f"{what}_{name}" for what in ("stride", "trf_size") for name in names]
    errors = [f"{name}_stderr" for name in ERRORS]
    writer.writerow(["layer", "operator", "shape", *per_axis, "global", *MEASURED, *errors, "limited"])
    writer.writerows(list(_cells(layer, bounds_of_layer(layer, result.input_shape))) for layer in layers)
    return text.getvalue()


def _cells(layer: LayerProfile, limited: Collection[str]) -> Iterator[object]:
    yield from (layer.name, layer.operator, "x".join(map(str, layer.shape)))
    yield from (*layer.trf_stride, *layer.trf_size, layer.is_global)
    largest = layer.mass.get("0.99")
    yield from (layer.erf_size, layer.erf_ratio, layer.mass_50_side, largest.side if largest else None)
    yield from (layer.stderr.get(name) for name in ERRORS)
    yield " ".join(name for name in MEASURED if name in limited)


def layers_csv(layers: Sequence[LayerRow]) -> str:
    """Name, operator, shape, stride and TRF per axis (pixels), whether global, share of the input that is covered."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = AXES[len(layers[0].trf_size)] if layers else ()
    per_axis = [f"{what}_{name}" for what in ("stride", "trf_size", "trf_largest") for name in names]
    local = [f"local_size_{name}" for name in names]  # of a global TRF, without statistics over the image
    writer.writerow(["layer", "operator", "shape", *per_axis, "global", *local, "coverage"])
    for row in layers:
        shape = "x".join(map(str, row.shape))
        box = row.local_box
        sides = ["" for _ in names] if box is None else [stop - start for start, stop in box]
        cells = [
            *row.trf_stride,
            *row.trf_size,
            *(row.trf_largest or row.trf_size),
            row.is_global,
            *sides,
            row.coverage,
        ]
        writer.writerow([for_csv(row.name), row.operator, shape, *cells])
    return text.getvalue()
