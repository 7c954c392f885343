"""Layers that keep the shape: activations, normalisations, dropout."""

from typing import Annotated, Literal

from pydantic import Field

from erfscope_contract.architecture.base import Channels, Eps, Finite, Layer

Affine = Annotated[bool, Field(description="Whether there is a scale and a shift (they start as the identity).")]


ActivationName = Literal[
    "relu",
    "relu6",
    "selu",
    "silu",
    "mish",
    "sigmoid",
    "tanh",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "softsign",
    "logsigmoid",
    "identity",
]


class Activation(Layer):
    """An activation without parameters (torch.nn's of that name)."""

    type: ActivationName


class Gelu(Layer):
    """Gaussian error linear unit."""

    type: Literal["gelu"] = "gelu"
    approximate: Literal["none", "tanh"] = Field("none", description="The exact form, or its tanh approximation.")


class LeakyRelu(Layer):
    """Leaky ReLU."""

    type: Literal["leaky_relu"] = "leaky_relu"
    negative_slope: Finite = Field(0.01, description="Slope below 0.")


class Prelu(Layer):
    """ReLU with a slope below 0 that a training could change."""

    type: Literal["prelu"] = "prelu"
    num_parameters: Literal[1] | Literal["channels"] = Field(1, description="One slope, or one per channel.")
    init: Finite = Field(0.25, description="The slope, as in torch.nn.PReLU.")


class Elu(Layer):
    """ELU or CELU."""

    type: Literal["elu", "celu"]
    alpha: float = Field(1.0, gt=0, le=1e3, description="The asymptote below 0 is −alpha.")


class Softplus(Layer):
    """Softplus."""

    type: Literal["softplus"] = "softplus"
    beta: float = Field(1.0, gt=0, le=1e3, description="Sharpness.")
    threshold: float = Field(20.0, gt=0, le=1e3, description="Above threshold/beta it is the identity.")


class Softmax(Layer):
    """Softmax over the channels."""

    type: Literal["softmax"] = "softmax"


class BatchNorm(Layer):
    """Batch normalisation in evaluation mode, with the statistics of a fresh layer: mean 0, variance 1."""

    type: Literal["batch_norm"] = "batch_norm"
    eps: Eps = Field(1e-5, description="Added to the variance.")
    affine: Affine = True


class InstanceNorm(Layer):
    """Instance normalisation: each channel over all positions, so its receptive field is global."""

    type: Literal["instance_norm"] = "instance_norm"
    eps: Eps = Field(1e-5, description="Added to the variance.")
    affine: Affine = False


class GroupNorm(Layer):
    """Group normalisation: groups of channels over all positions, so its receptive field is global."""

    type: Literal["group_norm"] = "group_norm"
    num_groups: Channels = Field(description="Groups of channels; must divide the channels.")
    eps: Eps = Field(1e-5, description="Added to the variance.")
    affine: Affine = True


class LayerNorm(Layer):
    """Layer normalisation."""

    type: Literal["layer_norm"] = "layer_norm"
    over: Literal["channels", "all"] = Field(
        "channels",
        description="channels: each position by itself (as transformers do); all: channels and positions.",
    )
    eps: Eps = Field(1e-5, description="Added to the variance.")
    affine: Affine = True


class LocalResponseNorm(Layer):
    """Local response normalisation over neighbouring channels (torch.nn.LocalResponseNorm)."""

    type: Literal["local_response_norm"] = "local_response_norm"
    size: Annotated[int, Field(ge=1, le=255)] = Field(description="Neighbouring channels that are summed.")
    alpha: Finite = Field(1e-4, description="Factor.")
    beta: Finite = Field(0.75, description="Exponent.")
    k: float = Field(1.0, gt=0, le=1e6, description="Summand.")


class Dropout(Layer):
    """Dropout: the identity, unless `active`; then a mask is drawn with the weights, one per draw."""

    type: Literal["dropout"] = "dropout"
    p: float = Field(0.5, ge=0, lt=1, description="Share that is dropped.")
    channelwise: bool = Field(False, description="Drop whole channels (torch.nn.Dropout2d).")
    active: bool = Field(False, description="Drop as in training, instead of passing everything on.")
