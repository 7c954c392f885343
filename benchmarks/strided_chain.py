"""The place of a unit by hand rules: stride × index + offset along the shallowest chain of windows.

It shares no code with the engine. The windows come from autograd's graph of one forward run, whose nodes remember
kernel, stride, padding and the extents that they read. Where paths join the one with the smallest field decides; fields
of one size at different places (patch merging by slices) give the middle between them. A map that has become an r-th of
its extent without a window (patches cut by views, shuffles) is in r × r patches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import Any

import torch
from torch import Tensor

MIXING = 10**6  # pixels: the window of what mixes all positions, so that a path beside it is always smaller
MIXERS = ("ScaledDotProduct", "Softmax", "Bmm", "FftR2C", "MkldnnRnnLayer")

WINDOWS = ("Convolution", "MaxPool2D", "AvgPool2D")


@dataclass(frozen=True)
class Axis:
    """One axis of a map: its extent, and in input pixels its stride, and of unit 0 the place and the field's ends.

    `phased`: units read other pixels by their phase (resampling), so that the ends are too far out for some.
    """

    extent: int
    stride: Fraction = Fraction(1)
    place: Fraction = Fraction(0)
    first: Fraction = Fraction(0)
    last: Fraction = Fraction(0)
    phased: bool = False

    @property
    def field(self) -> Fraction:
        """From the first pixel of a unit's field to the last."""
        return self.last - self.first

    def at(self, index: int) -> Fraction:
        """The place of a unit, pixels."""
        return self.place + self.stride * index

    def moved(self, place: Fraction, first: Fraction, last: Fraction) -> "Axis":
        """With the place and the ends of the field moved by pixels."""
        return replace(self, place=self.place + place, first=self.first + first, last=self.last + last)

    def read(self, kernel: int, stride: int, padding: int, dilation: int, outputs: int) -> "Axis":
        """Behind a window of `kernel` taps."""
        first, last = -padding * self.stride, ((kernel - 1) * dilation - padding) * self.stride
        return replace(self.moved((first + last) / 2, first, last), extent=outputs, stride=self.stride * stride)

    def spread(self, kernel: int, stride: int, padding: int, dilation: int, outputs: int) -> "Axis":
        """Behind a transposed window: output o has tap k of input (o + padding − k · dilation) / stride."""
        pace = self.stride / stride
        first, last = (padding - (kernel - 1) * dilation) * pace, padding * pace
        return replace(self.moved((first + last) / 2, first, last), extent=outputs, stride=pace)

    def resized(self, extent: int) -> "Axis":
        """Resampled with pixel areas aligned."""
        pace = self.stride * Fraction(self.extent, extent)
        shift, half = (pace - self.stride) / 2, self.stride / 2
        return replace(self.moved(shift, shift - half, shift + half), extent=extent, stride=pace, phased=True)

    def regrouped(self, extent: int) -> "Axis | None":
        """With `extent` units by views alone; None where that is not a matter of whole patches."""
        if extent and self.extent % extent == 0:
            patch = self.extent // extent
            return self.read(patch, patch, 0, 1, extent)
        return None

    @property
    def size(self) -> int | None:
        """Pixels of a unit's field; None where positions were mixed or resampled on the way."""
        return int(self.field) + 1 if self.field < MIXING and not self.phased else None


Place = tuple[Axis, Axis]  # height and width
Rule = Callable[[Place, Any], Place | None]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """The rule for the nodes of autograd whose names begin so."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def chain_of(output: Tensor, image: Tensor) -> Place | None:
    """The axes of `output` [N, C, H, W] (or another layout) along the chain from `image` [N, C, H, W].

    None where no path keeps the image's axes: behind global pooling, or where the rules know a map's extent no more;
    and where no window slides, so that nothing says which axes are of space.
    """
    places: dict[Any, Place | None] = {}
    nodes = list(_in_order(output.grad_fn))
    if not any(type(node).__name__.startswith(WINDOWS) for node in nodes):
        return None
    for node in nodes:
        if getattr(node, "variable", None) is image:
            places[node] = (Axis(image.shape[-2]), Axis(image.shape[-1]))
            continue
        paths = [places.get(before) for before, _ in node.next_functions]
        if type(node).__name__.startswith(MIXERS):
            paths = [paths[0] and _mixed(paths[0])]  # the rows of a product are those of its first factor: queries
        shallowest = _shallowest([path for path in paths if path is not None])
        places[node] = shallowest and _behind(shallowest, node)
    return places[output.grad_fn]


def on_grid(place: Place, grid: Sequence[int]) -> Place | None:
    """The axes of a layer with this grid of units; [N] is a square of tokens, maybe with others in front."""
    extents = grid if len(grid) == 2 else [isqrt(grid[0])] * 2
    return _both([axis.regrouped(extent) for axis, extent in zip(place, extents, strict=True)])


def _in_order(last: Any) -> Iterator[Any]:
    """The graph's nodes, each behind those that it reads."""
    pending, done = [(last, False)], set()
    while pending:
        node, ready = pending.pop()
        if ready:
            yield node
        elif node not in done:
            done.add(node)
            pending.append((node, True))
            pending += [(before, False) for before, _ in node.next_functions if before is not None]


def _shallowest(paths: Sequence[Place]) -> Place | None:
    """The map behind a join: placed by the smallest field, of equal ones by the coarsest stride; fields united."""
    if not paths:
        return None
    best = min(paths, key=lambda path: (path[0].field + path[1].field, -path[0].stride))
    return _both([_joined(best[k], [path[k] for path in paths]) for k in range(2)])


def _joined(best: Axis, others: Sequence[Axis]) -> Axis:
    alike = [axis for axis in others if (axis.extent, axis.stride) == (best.extent, best.stride)]
    places = [axis.place for axis in alike if axis.field == best.field]
    middle = (min(places) + max(places)) / 2
    first, last, phased = min(a.first for a in alike), max(a.last for a in alike), any(a.phased for a in alike)
    return replace(best, place=middle, first=first, last=last, phased=phased)


def _behind(place: Place, node: Any) -> Place | None:
    name = type(node).__name__
    found = next((rule for start, rule in RULES.items() if name.startswith(start)), None)
    return place if found is None else found(place, node)


def _mixed(place: Place) -> Place | None:
    return _both([replace(axis, last=axis.last + MIXING) for axis in place])


def _both(axes: Sequence[Axis | None]) -> Place | None:
    height, width = axes
    return None if height is None or width is None else (height, width)


def _read_at(place: Place, extents: Sequence[int]) -> Place | None:
    """The axes as a node finds them, regrouped where views have changed their extents."""
    return _both([axis.regrouped(extent) for axis, extent in zip(place, extents, strict=True)])


def _signed(number: int) -> int:
    """A node gives its negative numbers as if they had no sign."""
    return number - 2**64 if number >= 2**63 else number


def _shape(node: Any) -> tuple[int, ...]:
    """Of the output of a node."""
    return tuple(node._input_metadata[0].shape)


@rule("Convolution")
def _convolution(place: Place, node: Any) -> Place | None:
    if len(node._saved_stride) != 2:  # along channels or tokens
        return place
    at = _read_at(place, node._saved_input.shape[2:])
    windows = zip(node._saved_weight.shape[2:], node._saved_stride, node._saved_padding, node._saved_dilation,
                  _shape(node)[2:], strict=True)  # fmt: skip
    if at is None:
        return None
    move = Axis.spread if node._saved_transposed else Axis.read
    return _both([move(axis, *window) for axis, window in zip(at, windows, strict=True)])


@rule("MaxPool2D", "AvgPool2D")
def _pooling(place: Place, node: Any) -> Place | None:
    at = _read_at(place, node._saved_self.shape[-2:])
    kernel = node._saved_kernel_size
    windows = zip(kernel, node._saved_stride or kernel, node._saved_padding,
                  getattr(node, "_saved_dilation", (1, 1)), _shape(node)[-2:], strict=True)  # fmt: skip
    return at and _both([axis.read(*window) for axis, window in zip(at, windows, strict=True)])


@rule("ConstantPadNd", "ReflectionPad2D", "ReplicationPad2D")
def _padding(place: Place, node: Any) -> Place | None:
    """Of height and width, as the extents behind it tell; of tokens or channels none."""
    pad = list(map(_signed, node._saved_pad if hasattr(node, "_saved_pad") else node._saved_padding))
    shape = _shape(node)
    pairs = [(0, 0)] * (len(shape) - len(pad) // 2) + [(pad[k], pad[k + 1]) for k in range(len(pad) - 2, -1, -2)]
    for first in (2, 1):
        before = [shape[first + k] - sum(pairs[first + k]) for k in range(2)] if len(shape) == 4 else []
        if before == [axis.extent for axis in place]:
            return _both([_cut(axis, -pairs[first + k][0], 1, shape[first + k])
                          for k, axis in enumerate(place)])  # fmt: skip
    return place


@rule("UpsampleNearest2D", "UpsampleBilinear2D", "UpsampleBicubic2D")
def _resizing(place: Place, node: Any) -> Place | None:
    at = _read_at(place, node._saved_self_sym_sizes[-2:])
    if at is None or getattr(node, "_saved_align_corners", False):
        return None
    return _both([a.resized(extent) for a, extent in zip(at, node._saved_output_size, strict=True)])


@rule("AdaptiveAvgPool2D", "AdaptiveMaxPool2D")
def _adaptive(place: Place, node: Any) -> Place | None:
    return None  # the node does not remember its output's extents; most have one unit


@rule("Mean")
def _mean(place: Place, node: Any) -> Place | None:
    """A mean over space leaves no place; one over channels does."""
    sizes = node._saved_self_sym_sizes
    dims = {_signed(dim) for dim in getattr(node, "_saved_dim", range(len(sizes)))}
    if len(sizes) == 4:
        over = {dim % 4 for dim in dims}
        return None if len(over) > 1 else place
    return place


@rule("Slice")
def _slice(place: Place, node: Any) -> Place | None:
    sizes, step, dim = tuple(node._saved_self_sym_sizes), node._saved_step, node._saved_dim
    axis = next((dim - first for first in (2, 1) if sizes[first : first + 2] == (place[0].extent, place[1].extent)), 9)
    if len(sizes) != 4 or axis not in (0, 1):
        return place
    start = node._saved_start
    cut = _cut(place[axis], start, step, len(range(start, sizes[dim], step)))
    return (cut, place[1]) if axis == 0 else (place[0], cut)


def _cut(axis: Axis, start: int, step: int, extent: int) -> Axis:
    """Units from `start` on, which may lie before the first one."""
    shift = axis.stride * start
    return replace(axis.moved(shift, shift, shift), stride=axis.stride * step, extent=extent)


def run_with_graph(module: torch.nn.Module, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(output, image) of one forward run on normal noise, with its graph."""
    image = torch.randn(1, *shape, requires_grad=True)
    return module.requires_grad_(False)(image), image
