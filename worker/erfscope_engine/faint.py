"""Branches that are scaled to nearly nothing, as they are before training: a map shows the rest of the network alone.

Layer scale begins at 1e-6 (ConvNeXt, CaiT), the last normalisation of a residual branch at 0 (Goyal et al. 2017).
"""

from collections.abc import Iterator

from torch import Tensor

from erfscope_contract.numbers import plain
from erfscope_engine.layers import Layer, Traced
from erfscope_engine.operators.table import is_pointwise
from erfscope_engine.recording.tape import Call

FAINT = 1e-3  # trained layer scales are from 0.01 to 1
MOST_NAMED = 3
_NORMS = {"native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "batch_norm",
          "native_layer_norm", "native_group_norm", "instance_norm"}  # fmt: skip
_PASSING = ("identity", "drop", "stochasticdepth")  # in the names of modules that change nothing at inference
_WEIGHTED = {"convolution", "mm", "addmm", "bmm", "linear"}  # where exporters fold a scale of 0 into the weights


def note_on_faint(traced: Traced, layer: Layer) -> str | None:
    """What a reader must know of branches that lead to the layer and are nearly 0; None where there are none."""
    faint = [
        (call, largest)
        for call in traced.tape.calls
        if any(index is not None and index <= layer.value for index in call.outputs)
        for largest in _scales(call)
    ]
    if not faint:
        return None
    names = [name for call, _ in faint if (name := _name(traced, call))]
    where = f" ({', '.join(names[:MOST_NAMED])}{' …' if len(names) > MOST_NAMED else ''})" if names else ""
    most = max(largest for _, largest in faint)
    count = f"{len(faint)} scales are" if len(faint) > 1 else "1 scale is"
    return (
        f"{count} {f'at most {plain(most)}' if most else '0'}{where}, as before training: the branches that they scale "
        "hardly count, and the map shows mostly the skips. Measure trained weights or set these scales to 1; "
        "--weights draws a normalisation's scale or a convolution again, but not a layer scale."
    )


def _scales(call: Call) -> Iterator[float]:
    """The largest absolute value of each scale of a call that is nearly 0."""
    if call.name in ("mul", "mul_"):
        candidates = [one for one in call.constants if isinstance(one, Tensor) and one.numel() > 1]
        limit = FAINT
    elif call.name in _NORMS:
        weight = call.arg("weight")
        candidates, limit = [weight] if isinstance(weight, Tensor) else [], FAINT
    elif call.name in _WEIGHTED:
        candidates = [one for one in call.constants if isinstance(one, Tensor) and one.dim() > 1]
        limit = 0.0
    else:
        return
    for scale in candidates:
        first = scale[(0,) * scale.dim()]  # one look spares most of them; flatten() would copy a transposed matrix
        if first.abs() <= limit and (largest := float(scale.detach().abs().max())) <= limit:
            yield largest


def _name(traced: Traced, call: Call) -> str | None:
    """Of the module that scales. One that hands its input on, as DropPath behind a scale, stands for its block.

    A scale that is a parameter of a block, and no module of its own, has the name of the block.
    """
    index = next((index for index in call.outputs if index is not None), None)
    if index is None:
        return None
    name = traced.tape.values[index].name
    if name is None:
        return _block_behind(traced, index)
    if call.name not in ("mul", "mul_"):
        return name
    operator = next((layer.operator for layer in traced.layers if layer.value == index), "").lower()
    block = name.rpartition(".")[0]
    return block if block and any(part in operator for part in _PASSING) else name


def _block_behind(traced: Traced, index: int) -> str | None:
    """The innermost name of the first value with one that element-wise work makes of a value; None without any."""
    tape, reached = traced.tape, {index}
    for call in tape.calls[(tape.values[index].made or 0) + 1 :]:
        if reached.isdisjoint(ref.index for ref in call.refs):
            continue
        if not is_pointwise(call.op):
            return None
        for out in call.outputs:
            if out is None:
                continue
            names = [name for name, value in tape.names.items() if value == out and name != "output"]
            if names:
                return max(names, key=lambda name: name.count("."))  # a stage has the value of its last block
            reached.add(out)
    return None
