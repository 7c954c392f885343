"""The networks that the page offers to start from: every preset, and examples in one and three dimensions."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from erfscope_contract.architecture import Architecture, Init, InputSpec
from erfscope_contract.architecture.layers import Conv
from erfscope_contract.architecture.pointwise import Activation
from erfscope_contract.presets import about, article, classics, plain, resnets, transformers

Builder = Callable[[], Architecture]


def wave_1d() -> Architecture:
    """1-D: eight convolutions of dilation 1, 2, … 128, as in WaveNet: receptive field 256."""
    convs = [Conv(out_channels=16, kernel_size=2, dilation=2**i, padding="same") for i in range(8)]
    layers = [layer for conv in convs for layer in (conv, Activation(type="relu"))]
    return Architecture(
        name="wave-1d", input=InputSpec(channels=1, size=[512]), init=Init.KAIMING_NORMAL, layers=layers
    )


def volume_3d() -> Architecture:
    """3-D: four 3×3×3 convolutions, the second of stride 2: receptive field 13."""
    convs = [Conv(out_channels=8, kernel_size=3, padding=1, stride=2 if i == 1 else 1) for i in range(4)]
    layers = [layer for conv in convs for layer in (conv, Activation(type="relu"))]
    return Architecture(
        name="volume-3d", input=InputSpec(channels=1, size=[32, 32, 32]), init=Init.KAIMING_NORMAL, layers=layers
    )


EXAMPLES: dict[str, Builder] = {"wave-1d": wave_1d, "volume-3d": volume_3d}
GROUPS: dict[str, Mapping[str, Builder]] = {
    "Well-known networks": {**classics.PRESETS, **resnets.PRESETS, **transformers.PRESETS},
    "Sound and volumes": EXAMPLES,
    "Networks of the article": article.PRESETS,
    "Stacks of 3×3 convolutions": plain.PRESETS,
}
"""What the page offers to start from, in this order; all presets are in one of them."""


@cache
def as_json() -> bytes:
    """A list of `{"name", "group", "about", "spec"}`; the spec as a person would write it, defaults left out."""
    rows = [_row(name, group, make) for group, networks in GROUPS.items() for name, make in networks.items()]
    return json.dumps(rows).encode()


def _row(name: str, group: str, make: Builder) -> dict[str, Any]:
    return {"name": name, "group": group, "about": about(make), "spec": _written(make())}


def _written(architecture: Architecture) -> dict[str, Any]:
    """Without what is not given; the input stays, because people change its size first."""
    spec: dict[str, Any] = architecture.model_dump(mode="json", exclude_defaults=True)
    given = {"channels": architecture.input.channels, "size": list(architecture.input.size)}
    return {"name": spec.pop("name"), "input": given, **{key: value for key, value in spec.items() if key != "input"}}
