"""Activations, each by the formula and the default parameters of its ONNX version."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_intake.converters.table import MICROSOFT, Node, axis_of, converts, enter

enter("Relu", torch.relu)
enter("Sigmoid", torch.sigmoid)
enter("Tanh", torch.tanh)
enter("Softsign", F.softsign)
enter("Mish", F.mish)
enter("HardSwish", F.hardswish)


@converts("Softplus")
def softplus(_node: Node, x: Tensor) -> Tensor:
    """log(1 + exp(x)), without torch's switch to the identity above a threshold."""
    return F.softplus(x, threshold=100)


@converts("LeakyRelu")
def leaky_relu(node: Node, x: Tensor) -> Tensor:
    """x where positive, alpha · x elsewhere."""
    return F.leaky_relu(x, node.float("alpha", 0.01))


@converts("Elu")
def elu(node: Node, x: Tensor) -> Tensor:
    """Exponential linear unit."""
    return F.elu(x, node.float("alpha", 1.0))


@converts("Celu")
def celu(node: Node, x: Tensor) -> Tensor:
    """Continuously differentiable ELU."""
    return F.celu(x, node.float("alpha", 1.0))


@converts("Selu")
def selu(node: Node, x: Tensor) -> Tensor:
    """Scaled ELU; its parameters may differ from the paper's."""
    old = node.version < 6
    alpha = node.float("alpha", 1.6732 if old else 1.67326319217681884765625)
    gamma = node.float("gamma", 1.0507 if old else 1.05070102214813232421875)
    return gamma * F.elu(x, alpha)


@converts("HardSigmoid")
def hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    """max(0, min(1, alpha · x + beta))."""
    return torch.clamp(node.float("alpha", 0.2) * x + node.float("beta", 0.5), 0, 1)


@converts("ThresholdedRelu")
def thresholded_relu(node: Node, x: Tensor) -> Tensor:
    """x above alpha, 0 elsewhere."""
    return F.threshold(x, node.float("alpha", 1.0), 0.0)


@converts("Shrink")
def shrink(node: Node, x: Tensor) -> Tensor:
    """x pulled towards zero by bias, zero within lambd."""
    bias, lambd = node.float("bias", 0.0), node.float("lambd", 0.5)
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, zero))


@converts("Gelu")
def gelu(node: Node, x: Tensor) -> Tensor:
    """Gaussian error linear unit, exact or by tanh."""
    return F.gelu(x, approximate="tanh" if node.text("approximate", "none") == "tanh" else "none")


@converts("Gelu", "BiasGelu", domain=MICROSOFT)
def bias_gelu(_node: Node, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """Exact GELU of x + bias."""
    return F.gelu(x if bias is None else x + bias)


@converts("FastGelu", domain=MICROSOFT)
def fast_gelu(_node: Node, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """GELU by tanh of x + bias."""
    return F.gelu(x if bias is None else x + bias, approximate="tanh")


@converts("QuickGelu", domain=MICROSOFT)
def quick_gelu(node: Node, x: Tensor) -> Tensor:
    """x · sigmoid(alpha · x)."""
    return x * torch.sigmoid(node.float("alpha", 1.702) * x)


@converts("Swish")
def swish(node: Node, x: Tensor) -> Tensor:
    """x · sigmoid(alpha · x)."""
    return x * torch.sigmoid(node.float("alpha", 1.0) * x)


def _along(node: Node, x: Tensor, function: object) -> Tensor:
    """Softmax-like functions: along one axis from opset 13 on, over everything after it before."""
    assert callable(function)
    if node.version >= 13:
        result: Tensor = function(x, node.int("axis", -1))
        return result
    axis = axis_of(node.int("axis", 1), x.ndim) if x.ndim > 1 else 0
    flat = x.reshape(math.prod(x.shape[:axis]), -1)
    if x.ndim - axis == 1:  # the same numbers without hiding the layout from the tape
        result = function(x, -1)
        return result
    result = function(flat, 1)
    return result.reshape(x.shape)


@converts("Softmax")
def softmax(node: Node, x: Tensor) -> Tensor:
    """Exponentials normalised to a sum of one."""
    return _along(node, x, torch.softmax)


@converts("LogSoftmax")
def log_softmax(node: Node, x: Tensor) -> Tensor:
    """Logarithm of the softmax."""
    return _along(node, x, torch.log_softmax)


@converts("Hardmax")
def hardmax(node: Node, x: Tensor) -> Tensor:
    """One at the first maximum, zero elsewhere."""

    def first_maximum(values: Tensor, axis: int) -> Tensor:
        best = values.argmax(axis, keepdim=True)
        zeros = torch.zeros(values.shape, dtype=values.dtype, device=values.device)
        return zeros.scatter(axis, best, 1.0)

    return _along(node, x, first_maximum)
