"""Attention kernels: queries stay apart, of keys and values all are read, batch by batch and head by head."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from erfscope_engine.execution.part import Part
from erfscope_engine.execution.step import Step
from erfscope_engine.geometry.digits import Digit, Run, size
from erfscope_engine.geometry.frame import Frame, Link, everything, first_of, reduced
from erfscope_engine.geometry.seats import meet
from erfscope_engine.operators.joins import aligned, going_along, telling
from erfscope_engine.operators.site import Out, Site, out
from erfscope_engine.operators.table import operator, stepped
from erfscope_engine.recording.tape import Ref

aten = torch.ops.aten


@operator("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
          "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
          "_scaled_dot_product_fused_attention_overrideable", "_scaled_dot_product_attention_math_for_mps")  # fmt: skip
def attention(site: Site) -> list[Out | None]:
    """Queries stay apart; of keys and values all are read, batch by batch and head by head."""
    made = _attention(site)
    rest = [None if k is None else _beside(site, n, made) for n, k in enumerate(site.call.outputs[1:], start=1)]
    return [made, *rest]


@stepped("_scaled_dot_product_flash_attention_for_cpu")
def attention_step(part: Part) -> Step | None:
    """The queries that the part needs, by all keys and values of its samples and heads."""
    call, refs = part.call, part.call.args[:3]
    masked = part.arg("attn_mask") is not None or part.arg("is_causal")
    if part.out != 0 or not all(isinstance(ref, Ref) for ref in refs) or part.is_read(1) or part.arg("dropout_p"):
        return None
    if masked and part.cropped:
        return None
    (samples, heads, rows, _), tokens = part.box, (0, part.shape(refs[1])[2])
    boxes = [
        (samples, heads, span, (0, part.shape(ref)[3])) for ref, span in zip(refs, (rows, tokens, tokens), strict=True)
    ]
    if [part.read(ref) for ref in refs] != boxes or part.box[3] != (0, part.out_shape[3]):
        return None
    options = {"attn_mask": part.arg("attn_mask"), "scale": part.arg("scale")}
    causal = part.arg("is_causal")

    def forward(inputs: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
        result, sums = call.op(*inputs, 0.0, causal, **options)
        return [result, sums], (*inputs, result, sums)

    def backward(kept: Any, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        back = aten._scaled_dot_product_flash_attention_for_cpu_backward(grads[0], *kept, 0.0, causal, **options)
        return list(back)

    reads = tuple((ref.index, box) for ref, box in zip(refs, boxes, strict=True))
    return Step(reads, part.writes, forward, backward, any_format=True)


def _beside(site: Site, k: int, made: Out) -> Out:
    """A statistic of the queries."""
    shape = site.out_shape(k)
    axes = (
        made.frame.axes[: len(shape)] if shape == site.out_shape()[: len(shape)] else tuple((Digit(n),) for n in shape)
    )
    every = [(Ref(index), everything(site.frames[index].digits, site.name)) for index, _ in made.reads]
    return out(Frame(axes, made.frame.seats), *every)


def _attention(site: Site) -> Out:
    live = {n: x for n, x in zip("qkv", site.call.args[:3], strict=True) if isinstance(x, Ref)}
    lead = [max((site.frame(x).axes[k] for x in live.values()), key=telling) for k in (0, 1)]
    shape = site.out_shape()
    links = {n: _attended(site, n, x, lead) for n, x in live.items()}
    tokens = site.frame(live["q"]).axes[2] if "q" in live else (Digit(shape[2]),)
    features = site.frame(live["v"]).axes[3] if "v" in live else (Digit(shape[3]),)
    axes = (*lead, tokens, features)
    operands = []
    for n, x in live.items():
        frame = site.frame(x)
        seats = reduced(frame, _summed(frame, n), site.name)
        # what keys and values share by name with the queries' tokens, they do not go along with
        seen = frame.axes if n == "q" else (*frame.axes[:2], (), frame.axes[3])
        operands.append(going_along(Frame(seen, seats), links[n], axes))
    others = [(ref, everything(site.frame(ref).digits, site.name)) for ref in site.refs if ref not in live.values()]
    merged = _merged(live, links)
    return out(Frame(axes, meet(operands)), *merged, *others)


def _merged(live: dict[str, Ref], links: dict[str, list[Link]]) -> list[tuple[Ref, Sequence[Link]]]:
    return [(ref, links[n]) for n, ref in live.items()]


def _summed(frame: Frame, n: str) -> Run:
    """The digits that attention sums over: features of queries and keys, tokens of keys and values."""
    return {"q": frame.axes[3], "k": frame.axes[2] + frame.axes[3], "v": frame.axes[2]}[n]


def _attended(site: Site, n: str, x: Ref, lead: Sequence[Run]) -> list[Link]:
    frame = site.frame(x)
    links = everything(_summed(frame, n), site.name)
    return links + _led(lead[0], frame.axes[0]) + _led(lead[1], frame.axes[1])


def _led(lead: Run, run: Run) -> list[Link]:
    """Batch and heads of an operand beside those of the result; one head may serve all queries."""
    return aligned(lead, run) if size(run) == size(lead) else first_of(run)
