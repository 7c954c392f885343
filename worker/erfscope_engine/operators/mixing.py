"""Operators that take whole extents: reductions, softmax, running sums, sorting, Fourier transforms."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step, computed, pointwise
from erfscope_engine.geometry.digits import Digit, Run, size
from erfscope_engine.geometry.frame import Frame, Link, everything, mixed, reduced
from erfscope_engine.geometry.spans import Span
from erfscope_engine.moments.rule import Case, moved, ref_of, step_of
from erfscope_engine.moments.state import Moments
from erfscope_engine.operators import joins
from erfscope_engine.operators.site import Out, Site, out
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.recording.tape import Ref

aten = torch.ops.aten


def digits_of(frame: Frame, dims: Iterable[int]) -> Run:
    """The digits of some axes."""
    return tuple(digit for k in dims for digit in frame.axes[k])


def staying(site: Site, ref: Ref, dims: Iterable[int]) -> Out:
    """Units stay where they are and read all of some axes."""
    frame = site.frame(ref)
    run = digits_of(frame, dims)
    reads = [(ref, everything(run, site.name))]
    reads += [(other, everything(site.frame(other).digits, site.name)) for other in site.refs if other != ref]
    return out(Frame(frame.axes, mixed(frame, run, site.name)), *reads)


@operator("_softmax", "_log_softmax", "_safe_softmax", "sort", "cummax", "cummin", "argsort",
          "softmax", "log_softmax", part="kernel")  # fmt: skip
def along_dim(site: Site) -> Out:
    """All of one axis."""
    ref = site.refs[0]
    return staying(site, ref, [site.arg("dim") % max(len(site.shape(ref)), 1)])


@operator("cumsum", "cumprod", "logcumsumexp")
def running(site: Site) -> Out:
    """All of one axis up to the position."""
    (ref,) = site.refs
    frame = site.frame(ref)
    run = frame.axes[site.arg("dim") % max(len(site.shape(ref)), 1)]
    links = [Link(run, (run,), lambda span: Span(min(span.lo, 0), span.hi, span.why))] if run else []
    return out(Frame(frame.axes, mixed(frame, run, site.name)), (ref, links))


@operator("mean", "sum", "amax", "amin", "max", "min", "prod", "var", "std", "var_mean", "std_mean",
          "linalg_vector_norm", "norm", "logsumexp", "argmax", "argmin", "any", "all", "median", "nanmedian", "topk",
          "kthvalue", "mode", "nansum", "aminmax", "count_nonzero", statistics="go")  # fmt: skip
def reduction(site: Site) -> Out:
    """All of some axes, which go."""
    if site.call.has("other"):
        return joins.pointwise(site)
    ref = site.refs[0]
    rank, dims = len(site.shape(ref)), site.option("dim")
    dims = range(rank) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    gone = {d % rank for d in dims} if rank else set()
    frame = site.frame(ref)
    run, stays = digits_of(frame, sorted(gone)), len(site.out_shape()) == rank
    axes = [_left(site, k, k in gone) if k in gone else r for k, r in enumerate(frame.axes) if stays or k not in gone]
    return out(Frame(tuple(axes), reduced(frame, run, site.name)), (ref, everything(run, site.name)))


def _left(site: Site, k: int, gone: bool) -> Run:
    """What is left of an axis that was taken whole: one position, or the several that `topk` chose."""
    extent = site.out_shape()[k]
    return (Digit(extent),) if gone and extent > 1 else ()


@operator("view_as_real", "view_as_real_copy")
def parts_of_complex(site: Site) -> Out:
    """Real and imaginary part, counted by a last axis."""
    (ref,) = site.refs
    frame = site.frame(ref)
    return out(Frame((*frame.axes, (Digit(2),)), frame.seats), (ref, []))


@operator("view_as_complex", "view_as_complex_copy")
def complex_of_parts(site: Site) -> Out:
    """The last axis is real and imaginary part."""
    (ref,) = site.refs
    frame = site.frame(ref)
    run = frame.axes[-1]
    return out(Frame(frame.axes[:-1], reduced(frame, run, site.name)), (ref, everything(run, site.name)))


@operator("_fft_r2c", "_fft_c2c", "_fft_c2r")
def fourier(site: Site) -> Out:
    """All of the transformed axes; back from frequencies, a place is where it was."""
    (ref,) = site.refs
    frame = site.frame(ref)
    dims = sorted({d % len(frame.axes) for d in site.arg("dim")})
    run = digits_of(frame, dims)
    axes = list(frame.axes)
    for k in dims:
        axes[k] = _transformed(frame.axes[k], site.out_shape()[k], site.shape(ref)[k])
    seats = mixed(frame, run, site.name)
    return out(Frame(tuple(axes), seats), (ref, everything(run, site.name)))


def _transformed(run: Run, extent: int, before: int) -> Run:
    """Places of the same extent stay places; half a spectrum is counted by itself, and remembers what it is of."""
    origin = run[0].origin if len(run) == 1 and run[0].origin else run
    if size(origin) == extent and extent != before and len(run) == 1 and run[0].origin:
        return again(origin)
    if extent == before:
        return again(run)
    return (Digit(extent, origin=origin),) if extent > 1 else ()


def again(run: Run) -> Run:
    """New digits at the same places."""
    return tuple(Digit(digit.extent, digit.axis, digit.stride, origin=digit.origin) for digit in run)


@stepped("_softmax")
def softmax(part: Part) -> Step | None:
    """Along an axis that the part has whole; its output tells its derivative."""
    ref, dim = part.arg("self"), part.arg("dim")
    if not isinstance(ref, Ref) or not part.box or part.read(ref) != part.box or dim % len(part.box) in part.cropped:
        return None
    if part.arg("half_to_float"):
        return None

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        result = aten._softmax(inputs[0], dim, False)
        return [result], result

    def backward(kept: Any, g: Tensor, target: Tensor | None) -> Tensor:
        return aten._softmax_backward_data(g, kept, dim, kept.dtype)  # type: ignore[no-any-return]

    return pointwise((ref.index, part.box), part.writes, forward, backward, keeps="output")


@stepped("mean")
def mean(part: Part) -> Step | None:
    """Each element has the same share; its gradient is spread when it is added to something."""
    ref = part.arg("self")
    if not part.call.has("dim") or part.arg("dtype") is not None or not isinstance(ref, Ref):
        return None
    read, rank = part.read(ref), len(part.shape(ref))
    dims = sorted({d % rank for d in part.arg("dim") or range(rank)})
    if read is None or any(read[k] != (0, part.shape(ref)[k]) for k in dims):
        return None
    stays, count = part.arg("keepdim"), math.prod(part.shape(ref)[k] for k in dims)
    left = [(0, 1) if k in dims else span for k, span in enumerate(read) if stays or k not in dims]
    if tuple(left) != part.box:
        return None

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        return [inputs[0].mean(dims, keepdim=stays)], inputs[0].shape

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        (g,) = grads
        assert g is not None
        g = g / count
        for k in () if stays else dims:
            g = g.unsqueeze(k)
        return [g.expand(kept)]

    return Step(((ref.index, read),), part.writes, forward, backward, any_format=True, fresh=True, keeps="nothing")


@varied("mean")
def mean_variance(case: Case) -> Step:
    """Over whole axes: each of n elements has the share 1/n."""
    step = step_of(case, case.call)
    share = math.prod(case.part.out_shape) / math.prod(case.part.shape(ref_of(case, "self")))

    def forward(inputs: Sequence[Moments]) -> tuple[Sequence[Moments], Any]:
        (x,) = inputs
        outs, kept = step.forward([x.variance])
        means = [None] if x.mean is None else step.forward([x.mean])[0]
        return [Moments(means[0], outs[0] * share)], kept

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return [None if g is None else g * share for g in map(computed, step.backward(kept, grads))]

    return Step(step.reads, step.writes, forward, backward)


varied("sum")(moved)
