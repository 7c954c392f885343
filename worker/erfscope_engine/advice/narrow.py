"""A spec with all its channel counts divided: of the same expected ERF, and much faster to analyse."""

from collections.abc import Sequence
from math import gcd
from typing import Any

from erfscope_contract.architecture import Architecture, infer
from erfscope_contract.problem import ProblemError

# Layers that read channels as such: their number matters.
COUNTED = {"group_norm", "layer_norm", "local_response_norm", "prelu", "pixel_shuffle", "pixel_unshuffle", "attention",
           "linear", "position_embedding", "multiply"}  # fmt: skip
LEAST = 2  # channels that a narrowed layer keeps


def narrowed(architecture: Architecture) -> Architecture:
    """The spec with the greatest common divisor taken out of its channel counts; itself where that is no option.

    Expected squared gradients depend on ratios of channel counts alone: a weight's variance goes with 1 / fan-in.
    """
    tree = architecture.model_dump(mode="json", exclude_unset=True)
    layers = list(_layers(tree["layers"]))
    counts = [layer["out_channels"] for layer in layers if layer.get("out_channels")]
    common = _divisor(counts)
    grouped = any(isinstance(layer.get("groups"), int) and layer["groups"] > 1 for layer in layers)
    if common < 2 or grouped or any(layer["type"] in COUNTED for layer in layers):
        return architecture
    for layer in layers:
        if layer.get("out_channels"):
            layer["out_channels"] //= common
    changed = Architecture.model_validate(tree)
    try:
        infer(changed)
    except ProblemError:
        return architecture
    return changed


def _divisor(counts: Sequence[int]) -> int:
    """The largest common divisor that leaves LEAST channels: branches of one channel each lose their axis in a join."""
    common, least = gcd(*counts), min(counts, default=0)
    return max((n for n in range(1, common + 1) if common % n == 0 and least // n >= LEAST), default=1)


def _layers(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for layer in layers:
        inside = [layer.get("layers") or [], layer.get("shortcut") or [], *layer.get("branches", [])]
        found += [layer, *(one for body in inside for one in _layers(body))]
    return found
