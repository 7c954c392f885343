"""Our converters: ONNX operator → torch, one file per family, one table row per operator."""

from erfscope_intake.converters import (
    activation,
    attention,
    convolution,
    elementwise,
    fill,
    fused_attention,
    indexing,
    labels,
    matrix,
    norm,
    pooling,
    quantised,
    recurrent,
    reduce,
    resize,
    sampling,
    sequences,
    shape,
    signal,
    winml,
)
from erfscope_intake.converters.table import TABLE, Node, Row

FAMILIES = (
    activation, attention, convolution, elementwise, fill, fused_attention, indexing, labels, matrix, norm,
    pooling, quantised, recurrent, reduce, resize, sampling, sequences, shape, signal,
    winml,
)  # fmt: skip

__all__ = ["FAMILIES", "TABLE", "Node", "Row"]
