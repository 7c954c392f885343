"""Blocks that enlarge a receptive field, as layers of a spec; each keeps channels and grid of what it is put behind."""

from collections.abc import Callable, Sequence
from math import prod

from erfscope_engine.advice.survey import Site
from erfscope_engine.advice.tree import Json

RATES = (2, 4, 8)  # dilations of a context block's branches
POOLS = (5, 9, 13)  # windows of a pooling block (YOLO's SPP)
SHARE = 4  # a context block's branches have the site's channels divided by it
HEADS = (8, 4, 2, 1)
SMALLEST_GRID = 4  # units along an axis, below which there is no coarser stage
MOST_TOKENS = 1024  # positions that attention is offered for: its memory grows with their square
Block = Callable[[Site], list[Json] | None]


def _conv(kernel: int, dilation: int = 1, stride: int = 1, **fields: object) -> list[Json]:
    padding = dilation * (kernel - 1) // 2
    conv = {"type": "conv", "kernel_size": kernel, "padding": padding, "bias": False, **fields}
    conv |= {"dilation": dilation} if dilation > 1 else {}
    conv |= {"stride": stride} if stride > 1 else {}
    return [conv, {"type": "batch_norm"}, {"type": "relu"}]


def large_kernel(kernel: int, *, causal: bool = False) -> Block:
    """A depthwise convolution with a 1×1 convolution, and an identity around both (Ding et al., CVPR 2022)."""

    def block(site: Site) -> list[Json] | None:
        if kernel > 2 * min(site.grid):
            return None
        depthwise = _conv(kernel, groups="depthwise")
        if causal:
            depthwise = [{"type": "pad", "padding": [kernel - 1, 0]}, depthwise[0] | {"padding": 0}, *depthwise[1:]]
        return [{"type": "residual", "name": "large_kernel", "layers": [*depthwise, *_conv(1)[:2]]}]

    return block


def dilated_context(site: Site) -> list[Json] | None:
    """Parallel dilated convolutions and their mixture (ASPP: Chen et al. 2017), as many as the grid has room for."""
    rates = [rate for rate in RATES if 2 * rate < min(site.grid)]
    if not rates:
        return None
    width = max(site.channels // SHARE, 1)
    branches = [_conv(1, out_channels=width), *(_conv(3, rate, out_channels=width) for rate in rates)]
    return [_mixed("context", branches, site)]


def pooled_context(site: Site) -> list[Json] | None:
    """Maxima over growing windows beside the tensor itself, and their mixture (SPP: He et al. 2014)."""
    pools = [size for size in POOLS if size <= 2 * min(site.grid)]
    if not pools:
        return None
    width = max(site.channels // 2, 1)
    branches = [[], *([_pool(size)] for size in pools)]
    layers = [*_conv(1, out_channels=width), {"type": "parallel", "branches": branches, "merge": "concat"}]
    return [{"type": "sequential", "name": "context", "layers": [*layers, *_conv(1, out_channels=site.channels)]}]


def _pool(size: int) -> Json:
    return {"type": "max_pool", "kernel_size": size, "stride": 1, "padding": size // 2}


def _mixed(name: str, branches: Sequence[list[Json]], site: Site) -> Json:
    parallel = {"type": "parallel", "branches": list(branches), "merge": "concat"}
    return {"type": "sequential", "name": name, "layers": [parallel, *_conv(1, out_channels=site.channels)]}


def coarser_stage(site: Site) -> list[Json] | None:
    """Two convolutions on half the grid, brought back and added: one more level of a U-Net."""
    if min(site.grid) < SMALLEST_GRID:
        return None
    odd = [n % 2 for n in site.grid]
    back = {"type": "conv_transpose", "kernel_size": [2 + n for n in odd], "stride": 2, "padding": odd, "bias": False}
    if not any(odd):
        back = {"type": "upsample", "scale_factor": 2}
    branches = [[], [*_conv(3, stride=2), *_conv(3), back]]
    return [{"type": "parallel", "name": "extra_stage", "merge": "add", "branches": branches}]


def attention(site: Site) -> list[Json] | None:
    """Self-attention over all positions of a coarse grid, with an identity around it (Vaswani et al. 2017)."""
    if prod(site.grid) > MOST_TOKENS:
        return None
    heads = next(n for n in HEADS if site.channels % n == 0)
    layers = [{"type": "layer_norm"}, {"type": "attention", "num_heads": heads}]
    return [{"type": "residual", "name": "attention", "layers": layers}]
