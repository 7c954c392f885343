"""Matrix products: rows and columns stay apart, what is summed over is taken whole."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Gradient, Step
from erfscope_engine.geometry.digits import Digit, Run, follows_of, plain, size
from erfscope_engine.geometry.frame import Frame, Link, everything, mixed, reduced, same
from erfscope_engine.geometry.seats import Seats, meet
from erfscope_engine.moments.rule import Case
from erfscope_engine.moments.weighted import weighted
from erfscope_engine.operators.joins import aligned, going_along, telling
from erfscope_engine.operators.mixing import again
from erfscope_engine.operators.onednn import Dense, dense_with
from erfscope_engine.operators.site import Out, Site, out, unknown
from erfscope_engine.operators.table import operator, stepped, varied
from erfscope_engine.recording.tape import Ref


@operator("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "vdot", "_int_mm")
def product(site: Site) -> Out:
    """Rows of the left operand, columns of the right one."""
    shape = site.out_shape()
    added = "add" in site.name
    bias, left, right = site.call.args[:3] if added else (None, *site.call.args[:2])
    if len(shape) < 2 or isinstance(bias, Ref):
        return _vectors(site)
    known = {side: (x, site.frame(x)) for side, x in (("l", left), ("r", right)) if isinstance(x, Ref)}
    batch = max((f.axes[0] for _, f in known.values()), key=telling) if len(shape) == 3 else ()
    links: dict[str, list[Link]] = {}
    seats: dict[str, Seats] = {}
    for side, (_, frame) in known.items():
        run = frame.axes[-1] if side == "l" else frame.axes[-2]
        links[side] = everything(run, site.name) + (aligned(batch, frame.axes[0]) if len(shape) == 3 else [])
        stays = side == "l" and len(known) == 2 and not _same_places(run, known["r"][1].axes[-2])
        seats[side] = mixed(frame, run, site.name) if stays else reduced(frame, run, site.name)
    rows = known["l"][1].axes[-2] if "l" in known else _mixed_places(known["r"][1].axes[-2], shape[-2])
    columns = known["r"][1].axes[-1] if "r" in known else _mixed_places(known["l"][1].axes[-1], shape[-1])
    if len(known) == 2:
        columns = _apart(columns, (*batch, *rows), links["r"])
    axes = (*([batch] if len(shape) == 3 else []), rows, columns)
    operands = [going_along(Frame(f.axes, seats[side]), links[side], axes) for side, (_, f) in known.items()]
    return out(Frame(axes, meet(operands)), *((x, links[side]) for side, (x, _) in known.items()))


def _same_places(run: Run, other: Run) -> bool:
    """Whether two operands mean the same places by the index that they are summed over; else it is no place of theirs.

    The keys of an attention with relative positions are such: by its own digits they would lie beside the query.
    """
    mine, theirs = ([(d.axis, d.stride, d.extent) for d in each if d.extent > 1] for each in (run, other))
    return mine == theirs


def _apart(columns: Run, others: Run, links: list[Link]) -> Run:
    """The columns of x·yᵀ are no places of the unit, the rows are: a digit does not count two axes."""
    along = follows_of(others)
    if not any(digit in others or digit.follows & along for digit in columns):
        return columns
    copies = plain(columns)
    links += [Link((digit,), ((copy,),), same) for digit, copy in zip(columns, copies, strict=True)]
    return copies


def _mixed_places(run: Run, extent: int) -> Run:
    """The new axis of a product with a constant: of the same extent along the input, its places are where they were.

    Channels among them (the pixels of a patch as a row) become channels all.
    """
    if extent == size(run) > 1 and all(digit.axis is not None for digit in run if digit.extent > 1):
        return again(run)
    return (Digit(extent),) if extent > 1 else ()


def _vectors(site: Site) -> Out:
    """A product with a vector, or with a bias that depends on the input: named, whole, samples apart."""
    return unknown(site)[0]  # type: ignore[return-value]


@stepped("mm")
def matrix_step(part: Part) -> Step | None:
    """Rows by a constant matrix."""
    return _rows(part, part.arg("self"), part.arg("mat2"), None)


@stepped("addmm")
def affine_step(part: Part) -> Step | None:
    """Rows by a constant matrix, and a constant added."""
    if part.arg("alpha") != 1 or part.arg("beta") != 1:
        return None
    return _rows(part, part.arg("mat1"), part.arg("mat2"), part.arg("self"))


@stepped("bmm")
def batched_step(part: Part) -> Step | None:
    """A linear layer on tensors that could not be folded: its matrix is one, expanded over the batch."""
    left, matrix = part.arg("self"), part.arg("mat2")
    if isinstance(left, Ref) and isinstance(matrix, Ref):
        return _of_two(part, left, matrix)
    if isinstance(matrix, Ref) or matrix.stride(0) != 0:
        return None
    return _rows(part, left, matrix[0], None)


def _of_two(part: Part, left: Ref, right: Ref) -> Step | None:
    """Rows of one tensor by columns of another, sample by sample: those of the part alone."""
    values, (samples, rows, columns) = part.tape.values, part.box
    inner = (0, part.shape(left)[2])
    boxes = (samples, rows, inner), (samples, inner, columns)
    types = {values[ref.index].dtype for ref in (left, right)}
    if (part.read(left), part.read(right)) != boxes or len(types) > 1 or not types.pop().is_floating_point:
        return None

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Gradient]:
        (x, y), (g,) = kept, grads
        assert g is not None
        return [torch.bmm(g, y.mT), torch.bmm(x.mT, g)]

    return Step(
        ((left.index, boxes[0]), (right.index, boxes[1])),
        part.writes,
        lambda inputs: ([torch.bmm(*inputs)], tuple(inputs)),
        backward,
        any_format=True,
        fresh=True,
        keeps="input",
    )


def _rows(part: Part, x: Any, matrix: Any, shift: Any) -> Step | None:
    if not isinstance(x, Ref) or isinstance(matrix, Ref) or isinstance(shift, Ref):
        return None
    if shift is not None and shift.dim() > 1 and shift.shape[0] != 1:
        return None
    box = (*part.box[:-1], (0, part.out_shape[-1]))
    read, back = (*box[:-1], (0, part.shape(x)[-1])), matrix.t().conj()

    there = partial(torch.mm, mat2=matrix) if shift is None else dense_with(matrix, shift)

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        return [_on_rows(there, inputs[0])], True

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Gradient]:
        return [None if grads[0] is None else _on_rows(partial(torch.mm, mat2=back), grads[0])]

    reads = ((x.index, read),)
    return Step(reads, ((part.call.outputs[0], box),), forward, backward, any_format=True, fresh=True, keeps="nothing")


def _on_rows(product: Dense, x: Tensor) -> Tensor:
    """A product of a matrix of rows, on a tensor of them."""
    result = product(x.reshape(-1, x.shape[-1]))
    return result.view(*x.shape[:-1], result.shape[-1])


@varied("mm")
def matrix_product(case: Case) -> Step:
    """A dense layer."""
    return weighted(case, ("self", "mat2"), None)


@varied("bmm")
def batched_product(case: Case) -> Step:
    """A dense layer on each sample."""
    return weighted(case, ("self", "mat2"), None)


@varied("mv")
def vector_product(case: Case) -> Step:
    """A matrix times a vector."""
    return weighted(case, ("self", "vec"), None)


@varied("addmm")
def affine_product(case: Case) -> Step:
    """A dense layer with a bias."""
    return _scaled(case, "mat1", "mat2")


@varied("baddbmm")
def batched_affine_product(case: Case) -> Step:
    """The same on each sample."""
    return _scaled(case, "batch1", "batch2")


def _scaled(case: Case, left: str, right: str) -> Step:
    factors: dict[str, Any] = {name: case.call.arg(name) for name in ("alpha", "beta")}
    if any(factor != 1 for factor in factors.values()):
        case.refuse("its factors alpha and beta are not 1")
    return weighted(case, (left, right), "self")
