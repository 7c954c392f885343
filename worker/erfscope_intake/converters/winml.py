"""Operators of ONNX's first days in its own domain, which WinML's converters wrote and onnxruntime still runs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_intake.converters.table import Node, converts


@converts("ImageScaler")
def image_scaler(node: Node, x: Tensor) -> Tensor:
    """Pixels times `scale`, plus a bias for each channel."""
    bias = _floats(node, "bias")
    if len(bias) not in (1, x.shape[1]):
        raise ValueError(f"a bias of {len(bias)} numbers does not fit {x.shape[1]} channels")
    return x * node.float("scale", 1.0) + torch.tensor(bias, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)


@converts("Crop")
def crop(node: Node, x: Tensor) -> Tensor:
    """The image without its border (left, top, right, bottom), or `scale` (height, width) of it behind left and top."""
    left, top, right, bottom = node.ints("border", (0, 0, 0, 0))
    scale = node.optional_ints("scale")
    height, width = scale or (x.shape[2] - top - bottom, x.shape[3] - left - right)
    return x.narrow(2, top, height).narrow(3, left, width)


@converts("Affine")
def affine(node: Node, x: Tensor) -> Tensor:
    """alpha · x + beta."""
    return node.float("alpha", 1.0) * x + node.float("beta", 0.0)


@converts("Scale")
def scale(node: Node, x: Tensor) -> Tensor:
    """scale · x."""
    return node.float("scale", 1.0) * x


@converts("ScaledTanh")
def scaled_tanh(node: Node, x: Tensor) -> Tensor:
    """alpha · tanh(beta · x)."""
    return node.float("alpha", 0.0) * torch.tanh(node.float("beta", 0.0) * x)


@converts("ParametricSoftplus")
def parametric_softplus(node: Node, x: Tensor) -> Tensor:
    """alpha · softplus(beta · x)."""
    return node.float("alpha", 0.0) * F.softplus(node.float("beta", 0.0) * x)


def _floats(node: Node, name: str) -> list[float]:
    values = node.attributes.get(name)
    return [float(value) for value in values] if isinstance(values, list) else [0.0]
