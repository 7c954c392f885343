"""Convolution and its transpose, of 1 to 3 spatial axes, with every kind of padding."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import MICROSOFT, Node, converts, within_limit
from erfscope_intake.converters.windows import Pairs, pad, split_padding, window


@converts("Conv")
def conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Cross-correlation; the weights may be computed."""
    frame = window(node, x.shape[2:], weight.shape[2:])
    padding = frame.begins
    if not frame.symmetric or min(padding, default=0) < 0:
        x, padding = pad(x, frame.pads), [0] * len(padding)
    grown = [n + 2 * p - span + 1 for n, p, span in zip(x.shape[2:], padding, frame.spans, strict=True)]
    out = [max(-(-n // s), 0) for n, s in zip(grown, frame.strides, strict=True)]
    within_limit([x.shape[0], weight.shape[0], *out], x.dtype)
    zeros = [0] * len(padding)
    return torch.convolution(
        x, weight, bias, frame.strides, padding, frame.dilations, False, zeros, node.int("group", 1)
    )


@converts("ConvTranspose")
def conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Transposed convolution: in full, then cropped (or widened) to what the paddings ask for."""
    frame = window(node, x.shape[2:], weight.shape[2:])
    rank = len(frame.kernel)
    extra = node.ints("output_padding", (0,) * rank) or [0] * rank
    full = [s * (n - 1) + span for n, s, span in zip(x.shape[2:], frame.strides, frame.spans, strict=True)]
    pads = _transposed_pads(node, [n + e for n, e in zip(full, extra, strict=True)], x, frame.pads)
    group = node.int("group", 1)
    out = [n + e - b - t for n, e, (b, t) in zip(full, extra, pads, strict=True)]
    within_limit([x.shape[0], weight.shape[1] * group, *full], x.dtype)
    within_limit([x.shape[0], weight.shape[1] * group, *out], x.dtype)
    fits = all(0 <= e < max(s, d) for e, s, d in zip(extra, frame.strides, frame.dilations, strict=True))
    begins = [begin for begin, _ in pads]
    if fits and all(begin == end >= 0 for begin, end in pads):
        return torch.convolution(x, weight, bias, frame.strides, begins, frame.dilations, True, extra, group)
    zeros = [0] * rank
    y = torch.convolution(x, weight, None, frame.strides, zeros, frame.dilations, True, zeros, group)
    y = pad(y, [(-begin, e - end) for (begin, end), e in zip(pads, extra, strict=True)])
    return y if bias is None else y + bias.reshape(-1, *(1,) * rank)


def _transposed_pads(node: Node, full: list[int], x: Tensor, pads: Pairs) -> Pairs:
    mode = node.text("auto_pad", "NOTSET")
    wanted = node.ints("output_shape", ())[-len(full) :]
    if not wanted and mode in ("SAME_UPPER", "SAME_LOWER"):
        strides = node.ints("strides", (1,) * len(full))
        wanted = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    if not wanted:
        return pads
    return [split_padding(n - want, mode) for n, want in zip(full, wanted, strict=True)]


FUSED: dict[str, Callable[..., Tensor]] = {
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "LeakyRelu": F.leaky_relu,
    "Clip": torch.clamp,
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: torch.clamp(alpha * x + beta, 0, 1),
}


@converts("FusedConv", domain=MICROSOFT)
def fused_conv(
    node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None, addend: Tensor | None = None
) -> Tensor:
    """Convolution, addition and activation in one node, as onnxruntime's optimizer writes them."""
    y = conv(node, x, weight, bias)
    y = y if addend is None else y + addend
    name = node.text("activation", "")
    if not name:
        return y
    if name not in FUSED:
        raise ProblemError("unsupported-op", f"FusedConv with the activation {name} cannot be converted.")
    fused: Tensor = FUSED[name](y, *node.attributes.get("activation_params", ()))
    return fused
