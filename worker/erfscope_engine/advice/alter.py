"""Changes of one convolution that keep its output's size: dilation, kernel, stride; padding before it grows with it."""

from collections.abc import Callable
from typing import Any

from erfscope_engine.advice.tree import Json, widest

LARGEST_DILATION = 8  # of one layer that a change gives: beyond it taps lie so far apart that holes show
LARGEST_KERNEL = 31  # RepLKNet's (Ding et al., CVPR 2022)
Alter = Callable[[list[Json], int], bool]  # changes the layer at an index of a list; False where it cannot


def dilated(factor: int) -> Alter:
    """Multiply the dilation, up to LARGEST_DILATION."""

    def alter(layers: list[Json], index: int) -> bool:
        kernel, dilation = _numbers(layers[index])
        after = [d * factor if k > 1 else d for k, d in zip(kernel, dilation, strict=True)]
        if max(after) > LARGEST_DILATION:
            return False
        return _refitted(layers, index, (kernel, dilation), (kernel, after), {"dilation": _plain(after)})

    return alter


def wider(more: int) -> Alter:
    """Add to the kernel's size, up to LARGEST_KERNEL."""

    def alter(layers: list[Json], index: int) -> bool:
        kernel, dilation = _numbers(layers[index])
        after = [k + more if k > 1 else k for k in kernel]
        if max(after) > LARGEST_KERNEL:
            return False
        return _refitted(layers, index, (kernel, dilation), (after, dilation), {"kernel_size": _plain(after)})

    return alter


def strided(factor: int) -> Alter:
    """Multiply the stride; padding `same` is written out, for it needs stride 1."""

    def alter(layers: list[Json], index: int) -> bool:
        layer = layers[index]
        kernel, dilation = _numbers(layer)
        if layer.get("padding") == "same":
            reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
            if any(n % 2 for n in reach):
                return False
            layer["padding"] = _plain([n // 2 for n in reach])
        layer["stride"] = _plain([s * factor for s in _per_axis(layer, "stride", 1, len(kernel))])
        return True

    return alter


def unstrided(layers: list[Json], index: int) -> bool:
    """Give a convolution or pooling stride 1; an even window becomes odd so that the grid keeps its places."""
    layer = layers[index]
    kernel = widest(layer["kernel_size"])
    if isinstance(layer["kernel_size"], list) or layer.get("padding", 0) in ("same", "valid"):
        return False
    pooling = layer["type"] != "conv"
    if kernel % 2 == 0:
        if not pooling:
            return False  # its weights would have to change
        layer["kernel_size"] = kernel + 1
    layer["stride"] = 1
    layer["padding"] = layer["kernel_size"] // 2 * (1 if pooling else layer.get("dilation", 1))
    return True


def is_dilatable(layer: Json) -> bool:
    """Whether a layer is a convolution with more than one tap on an axis."""
    return bool(layer["type"] == "conv") and widest(layer["kernel_size"]) > 1


def _refitted(
    layers: list[Json], index: int, before: tuple[list[int], list[int]], after: tuple[list[int], list[int]], new: Json
) -> bool:
    """The layer with `new` fields, and the padding that keeps its output's size for (kernel, dilation) per axis."""
    layer = layers[index]
    was, now = ([d * (k - 1) for k, d in zip(*each, strict=True)] for each in (before, after))
    behind = index > 0 and layers[index - 1]["type"] == "pad" and layer.get("padding", 0) in (0, "valid")
    if behind:
        if not _repadded(layers[index - 1], was, now):
            return False
    elif layer.get("padding") == "valid":
        return False
    elif layer.get("padding") != "same":
        grown = [late - early for early, late in zip(was, now, strict=True)]
        if any(n % 2 for n in grown):
            return False
        pads = _per_axis(layer, "padding", 0, len(grown))
        layer["padding"] = _plain([p + n // 2 for p, n in zip(pads, grown, strict=True)])
    layer.update(new)
    return True


def _repadded(pad: Json, was: list[int], now: list[int]) -> bool:
    """A padding layer before the convolution that made up for its reach, on one side (causal) or both."""
    sides = pad["padding"] if isinstance(pad["padding"], list) else [pad["padding"]] * 2 * len(was)
    if len(sides) != 2 * len(was):
        was, now = was * (len(sides) // 2), now * (len(sides) // 2)
    pairs = [(sides[2 * k], sides[2 * k + 1]) for k in range(len(was))][::-1]
    grown = list[tuple[int, int]]()
    for (low, high), early, late in zip(pairs, was, now, strict=True):
        if low + high != early:
            return False
        first = low * late // early if early else low
        grown.append((first, late - first))
    pad["padding"] = [side for pair in grown[::-1] for side in pair]
    return True


def _numbers(layer: Json) -> tuple[list[int], list[int]]:
    """Kernel and dilation for as many axes as the layer's numbers are given for: 1 stands for as many as there are."""
    fields = (layer.get(name) for name in ("kernel_size", "dilation", "padding", "stride"))
    rank = max((len(value) for value in fields if isinstance(value, list)), default=1)
    return _per_axis(layer, "kernel_size", 1, rank), _per_axis(layer, "dilation", 1, rank)


def _per_axis(layer: Json, field: str, default: int, rank: int) -> list[int]:
    value: Any = layer.get(field, default)
    return list(value) if isinstance(value, list) else [value] * rank


def _plain(values: list[int]) -> int | list[int]:
    return values[0] if len(set(values)) == 1 else values
