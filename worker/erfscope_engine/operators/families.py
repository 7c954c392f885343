"""All families of operators, and what any call does to geometry."""

from collections.abc import Sequence

from erfscope_engine.geometry.digits import size
from erfscope_engine.operators import (
    activations,
    attention,
    columns,
    convolution,
    elementwise,
    gating,
    indexing,
    joins,
    mixing,
    norms,
    padding,
    pooling,
    products,
    recurrent,
    resizing,
    sampling_at,
    slices,
    stacks,
    views,
)
from erfscope_engine.operators.joins import pointwise
from erfscope_engine.operators.site import Out, Site, empty_output, unknown, unknown_output
from erfscope_engine.operators.table import OPERATORS, is_pointwise

FAMILIES = (
    activations, attention, columns, convolution, elementwise, gating, indexing, joins, mixing, norms, padding,
    pooling, products, recurrent, resizing, sampling_at, slices, stacks, views,
)  # fmt: skip


def apply(site: Site) -> Sequence[Out | None]:
    """The outputs of a call: frames, and what each reads of the operands."""
    record = OPERATORS.get(site.name)
    rule = record.geometry if record else pointwise if is_pointwise(site.call.op) else unknown
    results = rule(site)
    outs = results if isinstance(results, list) else [results] * len(site.call.outputs)
    return [_fitting(site, k, each) for k, each in enumerate(outs)]


def _fitting(site: Site, k: int, result: Out | None) -> Out | None:
    """An output; one of another shape than its rule tells is named and whole."""
    if result is None or site.call.outputs[k] is None:
        return None
    if tuple(size(run) for run in result.frame.axes) == site.out_shape(k):
        return result
    return unknown_output(site, k) if 0 not in site.out_shape(k) else empty_output(site, k)
