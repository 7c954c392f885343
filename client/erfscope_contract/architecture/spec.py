"""Containers, the union of all layers, and the network itself, with the bounds that keep reading cheap."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from erfscope_contract.architecture import layers as leaf
from erfscope_contract.architecture import pointwise
from erfscope_contract.architecture.base import Channels, Init, InitSpec, Layer, Size, Strict, Weighted

MAX_LAYERS = 20_000
MAX_DEPTH = 16
MAX_JSON_DEPTH = 64

Leaf = (
    leaf.Conv
    | leaf.ConvTranspose
    | leaf.SparseConv
    | leaf.MaxPool
    | leaf.AvgPool
    | leaf.LpPool
    | leaf.AdaptivePool
    | leaf.GlobalAvgPool
    | pointwise.Activation
    | pointwise.Gelu
    | pointwise.LeakyRelu
    | pointwise.Prelu
    | pointwise.Elu
    | pointwise.Softplus
    | pointwise.Softmax
    | pointwise.BatchNorm
    | pointwise.InstanceNorm
    | pointwise.GroupNorm
    | pointwise.LayerNorm
    | pointwise.LocalResponseNorm
    | pointwise.Dropout
    | leaf.Upsample
    | leaf.PixelShuffle
    | leaf.PixelUnshuffle
    | leaf.Pad
    | leaf.Crop
    | leaf.Flatten
    | leaf.Linear
    | leaf.Attention
    | leaf.PositionEmbedding
    | leaf.Concat
    | leaf.Add
    | leaf.Multiply
)


class Sequential(Weighted):
    """Layers one after another, as one named block; its `init` holds for all inside."""

    type: Literal["sequential"] = "sequential"
    layers: Layers


class Repeat(Weighted):
    """The same layers several times, each time with weights of their own."""

    type: Literal["repeat"] = "repeat"
    times: int = Field(ge=1, le=MAX_LAYERS, description="How many times.")
    layers: Layers


class Residual(Weighted):
    """layers(x) + shortcut(x), then the activation."""

    type: Literal["residual"] = "residual"
    layers: Layers
    shortcut: Layers | None = Field(None, description="Layers on the shortcut; null is the identity.")
    activation: pointwise.ActivationName | None = Field(None, description="Activation after the sum.")


class Parallel(Weighted):
    """Several branches on the same tensor, merged."""

    type: Literal["parallel"] = "parallel"
    branches: list[Annotated[list[AnyLayer], Field(max_length=MAX_LAYERS)]] = Field(
        min_length=2,
        max_length=1024,
        description="One list of layers per branch; an empty one is the identity.",
    )
    merge: Literal["concat", "add", "multiply"] = Field("concat", description="How the branches come together.")


class Dense(Weighted):
    """DenseNet block: `times` times, the layers' output is appended to the channels of their input."""

    type: Literal["dense"] = "dense"
    times: int = Field(1, ge=1, le=MAX_LAYERS, description="How many times.")
    layers: Layers


Container = Sequential | Repeat | Residual | Parallel | Dense
AnyLayer = Annotated[Leaf | Container, Field(discriminator="type")]
Layers = Annotated[list[AnyLayer], Field(min_length=1, max_length=MAX_LAYERS, description="Layers, in order.")]


class InputSpec(Strict):
    """What the network takes."""

    channels: Channels = Field(3, description="Input channels.")
    size: list[Size] = Field(
        [224, 224],
        min_length=1,
        max_length=3,
        description="Spatial extents [L], [H, W] or [D, H, W]; they decide the dimension of every layer.",
    )


class Architecture(Strict):
    """A network described layer by layer, with torch.nn's argument names; input channels are inferred."""

    name: str = Field("spec", min_length=1, max_length=200, description="What to call it.")
    input: InputSpec = Field(InputSpec(), description="Channels and spatial extents of the input.")
    init: InitSpec = Field(Init.DEFAULT, description="How weights are drawn, where a layer does not say.")
    layers: Layers

    @model_validator(mode="before")
    @classmethod
    def _is_not_too_deep(cls, raw: object) -> object:
        level: list[object] = [raw]
        for _ in range(MAX_JSON_DEPTH):
            level = [child for node in level for child in _children(node)]
            if not level:
                return raw
        raise ValueError(f"the JSON is nested deeper than {MAX_JSON_DEPTH} levels")

    @model_validator(mode="after")
    def _is_not_too_large(self) -> Self:
        depth = _depth(self.layers)
        if depth > MAX_DEPTH:
            raise ValueError(f"blocks are nested {depth} deep; at most {MAX_DEPTH} are allowed")
        count = expanded_count(self.layers)
        if count > MAX_LAYERS:
            raise ValueError(
                f"the network has {count} layers once repeats are written out; at most {MAX_LAYERS} are allowed"
            )
        return self


for _model in (Sequential, Repeat, Residual, Parallel, Dense, Architecture):
    _model.model_rebuild()


def _children(node: object) -> list[object]:
    if isinstance(node, dict):
        return list(node.values())
    return list(node) if isinstance(node, list | tuple) else []


def bodies(layer: Layer) -> list[list[AnyLayer]]:
    """The lists of layers inside a layer; none for a plain one."""
    if isinstance(layer, Parallel):
        return list(layer.branches)
    if isinstance(layer, Residual):
        return [layer.layers, layer.shortcut or []]
    return [layer.layers] if isinstance(layer, Sequential | Repeat | Dense) else []


def _depth(layers: list[AnyLayer]) -> int:
    return max((1 + _depth(body) for layer in layers for body in bodies(layer)), default=0)


def expanded_count(layers: list[AnyLayer]) -> int:
    """How many layers there are once repeats are written out; sums and concatenations of blocks count."""
    return sum(_count(layer) for layer in layers)


def _count(layer: AnyLayer) -> int:
    inside = sum(expanded_count(body) for body in bodies(layer))
    if isinstance(layer, Repeat):
        return layer.times * inside
    if isinstance(layer, Dense):
        return layer.times * (inside + 1)
    if isinstance(layer, Sequential):
        return inside
    return inside + 1 + int(isinstance(layer, Residual) and layer.activation is not None)
