"""Normalisations: by stored statistics a factor and a shift, by the signal's own all of what it is taken over.

A normalisation of N Gaussian numbers to mean 0 and variance 1 has the Jacobian (δ − 1/N − x̂x̂ᵀ/N) / σ, whose squares
are (1 − 2/N)² on the diagonal and 2/N² everywhere on average: the gradient's leak into all it sees. The mean of 1/σ²
is N/(N − 3) over the mean of σ².
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.box import Box
from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.geometry.digits import Digit
from erfscope_engine.geometry.frame import Frame, everything, reduced
from erfscope_engine.moments.rule import Case, only_refs, ref_of
from erfscope_engine.moments.state import Moments
from erfscope_engine.operators.mixing import staying
from erfscope_engine.operators.site import Out, Site, empty_output, out
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.recording.tape import Call, Ref

aten = torch.ops.aten

OWN = "a normalisation by the signal's own statistics divides by their expected value"


@operator("native_layer_norm", "_fused_rms_norm", part="kernel", statistics="stay")
def layer_norm(site: Site) -> Out | list[Out | None]:
    """All of the last axes."""
    ref = site.refs[0]
    rank = len(site.shape(ref))
    made = staying(site, ref, range(rank - len(site.arg("normalized_shape")), rank))
    return _statistics(site, ref, made)


@operator("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
          "cudnn_batch_norm", "batch_norm", part="kernel", statistics="stay")  # fmt: skip
def batch_norm(site: Site) -> Out | list[Out | None]:
    """Position by position; in training mode, all but the channels."""
    ref = site.refs[0]
    rank = len(site.shape(ref))
    trains = site.option("training", site.name == "_native_batch_norm_legit" or not site.call.has("running_mean"))
    made = staying(site, ref, [k for k in range(rank) if k != 1] if trains else [])
    return _statistics(site, ref, made)


@operator("native_group_norm", statistics="stay")
def group_norm(site: Site) -> Out | list[Out | None]:
    """Space and the channels of a group."""
    ref = site.refs[0]
    return _statistics(site, ref, staying(site, ref, range(1, len(site.shape(ref)))))


def _statistics(site: Site, ref: Ref, made: Out) -> list[Out | None]:
    """The normalised tensor, and its statistics, which read all that it reads and more."""
    outs: list[Out | None] = [made]
    frame = site.frame(ref)
    for k in range(1, len(site.call.outputs)):
        if site.call.outputs[k] is None:
            outs.append(None)
            continue
        if 0 in site.out_shape(k):  # stored statistics were used
            outs.append(empty_output(site, k))
            continue
        axes = tuple((Digit(n),) if n > 1 else () for n in site.out_shape(k))
        reads = [(r, everything(site.frame(r).digits, site.name)) for r in site.refs]
        is_read = site.call.outputs[k] in site.tape.readers  # hardly ever, and seats of all of an image take long
        seats = reduced(frame, frame.digits, site.name) if is_read else frame.seats
        outs.append(out(Frame(axes, seats), *reads))
    return outs


@stepped("native_batch_norm", "_native_batch_norm_legit_no_training")
def batch_norm_step(part: Part) -> Step | None:
    """With stored statistics: one factor and one shift per channel."""
    affine, x = folded_affine(part.call), part.arg("input")
    if affine is None or not isinstance(x, Ref) or len(part.shape(x)) < 2 or part.out != 0:
        return None
    lo, hi = part.box[1]
    factor, shift = (v[lo:hi].view(1, -1, *[1] * (len(part.box) - 2)) for v in affine)

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        return [torch.addcmul(shift, inputs[0], factor)], True

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return [None if grads[0] is None else grads[0] * factor]

    return Step(((x.index, part.box),), part.writes, forward, backward, any_format=True, fresh=True, keeps="nothing")


@stepped("native_layer_norm")
def layer_norm_step(part: Part) -> Step | None:
    """By its own statistics, over axes that the part has whole."""
    call, x, shape = part.call, part.arg("input"), part.arg("normalized_shape")
    weight, bias = part.arg("weight"), part.arg("bias")
    rank = len(part.box)
    if not isinstance(x, Ref) or isinstance(weight, Ref) or isinstance(bias, Ref) or part.out != 0:
        return None
    if part.read(x) != part.box or part.cropped & set(range(rank - len(shape), rank)) or _has_readers(part):
        return None

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        given = inputs[0].contiguous()
        result, mean, scale = aten.native_layer_norm(given, shape, weight, bias, call.arg("eps"))
        return [result, None, None], (given, mean, scale)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        given, mean, scale = kept
        wanted = [True, False, False]
        g, _, _ = aten.native_layer_norm_backward(grads[0], given, shape, mean, scale, weight, bias, wanted)
        return [g]

    return Step(((x.index, part.box),), part.writes, forward, backward, any_format=True, keeps="input")


def _has_readers(part: Part) -> bool:
    """Whether anything reads the statistics."""
    return any(part.is_read(k) for k in range(1, len(part.call.outputs)))


def folded_affine(call: Call) -> tuple[Tensor, Tensor] | None:
    """(factor, shift) per channel of a normalisation with constant, stored statistics; None where it has none."""
    if not call.has("running_mean") or (call.has("training") and call.arg("training")):
        return None
    mean, var = call.arg("running_mean"), call.arg("running_var")
    weight, bias = call.arg("weight"), call.arg("bias")
    if mean is None or any(isinstance(item, Ref) for item in (mean, var, weight, bias)):
        return None
    factor = (var.double() + call.arg("eps")).rsqrt()
    factor = factor if weight is None else factor * weight.double()
    shift = -mean.double() * factor + (0 if bias is None else bias.double())
    return factor.to(mean.dtype), shift.to(mean.dtype)


@varied("native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit")
def batch_norm_variance(case: Case) -> Step:
    """Stored statistics: one factor and one shift per channel; else each channel's own."""
    only_refs(case, "input")
    if case.call.has("running_mean"):
        affine = folded_affine(case.call)
        if affine is not None:
            return _stored(case, *affine)
    weight, bias = case.call.arg("weight"), case.call.arg("bias")
    rank = len(case.part.out_shape)
    return _own(case, tuple(k for k in range(rank) if k != 1), _channels(weight, rank), _channels(bias, rank))


def _channels(values: Tensor | None, rank: int) -> Tensor | None:
    return None if values is None else values.view(1, -1, *[1] * (rank - 2))


def _stored(case: Case, factor: Tensor, shift: Tensor) -> Step:
    rank = len(case.box)
    lo, hi = case.box[1]
    scale, move = (_channels(v[lo:hi], rank) for v in (factor, shift))
    assert scale is not None
    assert move is not None
    moves = bool(shift.any())
    square = scale.square()

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        (x,) = inputs
        mean = None if x.mean is None and not moves else x.dense_mean * scale + move
        return [Moments(mean, x.variance * square)], True

    return Step(
        ((ref_of(case, "input").index, case.box),),
        _first_only(case, case.box),
        forward,
        lambda kept, grads: [None if grads[0] is None else grads[0] * square],
    )


def _first_only(case: Case, box: Box) -> tuple[tuple[int | None, Box], ...]:
    """What is written: the normalised tensor; its statistics are of no use to a gradient."""
    if case.part.out != 0:
        case.refuse("its statistics are read")
    return ((case.call.outputs[0], box), *[(None, box)] * (len(case.call.outputs) - 1))


@varied("native_layer_norm")
def layer_norm_variance(case: Case) -> Step:
    """Over the last axes."""
    only_refs(case, "input")
    rank, count = len(case.part.out_shape), len(case.call.arg("normalized_shape"))
    return _own(case, tuple(range(rank - count, rank)), case.call.arg("weight"), case.call.arg("bias"))


@varied("native_group_norm")
def group_norm_variance(case: Case) -> Step:
    """Over the channels of a group and space."""
    only_refs(case, "input")
    rank = len(case.part.out_shape)
    weight, bias = (_channels(case.call.arg(name), rank) for name in ("weight", "bias"))
    return _own(case, tuple(range(1, rank)), weight, bias, groups=case.call.arg("group"))


def _own(case: Case, axes: tuple[int, ...], weight: Tensor | None, bias: Tensor | None, groups: int = 1) -> Step:
    """Normalised over `axes` (of `groups` equal parts of axis 1), then weight and bias."""
    (ref,) = case.part.site.refs
    box = case.part.read(ref)
    assert box is not None  # a normalisation reads where it writes
    lengths = [hi - lo for lo, hi in box]
    split = [lengths[0], groups, lengths[1] // groups, *lengths[2:]] if groups > 1 else lengths
    over = tuple(range(2, len(split))) if groups > 1 else axes
    count = math.prod(split[k] for k in over)
    if count < 4:
        case.refuse(f"it normalises over {count} numbers only")
    scale, move = (_cut_to(v, box) for v in (weight, bias))
    eps = case.call.arg("eps")

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        (x,) = inputs
        mean, second = x.dense_mean.reshape(split), x.second.reshape(split)
        middle = mean.mean(over, keepdim=True)
        inverse = 1 / (second.mean(over, keepdim=True) - middle.square() + eps).clamp_min(torch.finfo(mean.dtype).tiny)
        out = ((mean - middle) * inverse.sqrt()).reshape(lengths)
        variance = (x.variance.reshape(split) * inverse).reshape(lengths)
        if scale is not None:
            out, variance = out * scale, variance * scale.square()
        return [Moments(out if move is None else out + move, variance)], inverse

    def backward(inverse: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        g = grads[0]
        if g is None:
            return [None]
        g = (g if scale is None else g * scale.square()).reshape(split)
        spread = g.sum(over, keepdim=True) * (2 / count**2)
        return [((g * (1 - 2 / count) ** 2 + spread) * inverse * (count / (count - 3))).reshape(lengths)]

    return Step(((ref.index, box),), _first_only(case, box), forward, backward, note=OWN)


def _cut_to(values: Tensor | None, box: Box) -> Tensor | None:
    """A weight, broadcast from the right, on a box."""
    if values is None:
        return None
    shift = len(box) - values.dim()
    for k, extent in enumerate(values.shape):
        if extent > 1:
            lo, hi = box[k + shift]
            values = values.narrow(k, lo, hi - lo)
    return values
