"""Attention kernels: queries stay apart, of keys and values all are read, batch by batch and head by head."""

from collections.abc import Sequence

from erfscope_engine.geometry.digits import Digit, Run, size
from erfscope_engine.geometry.frame import Frame, Link, everything, first_of, reduced
from erfscope_engine.geometry.seats import meet
from erfscope_engine.operators.joins import aligned, going_along, telling
from erfscope_engine.operators.site import Out, Site, out
from erfscope_engine.operators.table import operator
from erfscope_engine.recording.tape import Ref


@operator("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
          "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
          "_scaled_dot_product_fused_attention_overrideable", "_scaled_dot_product_attention_math_for_mps")  # fmt: skip
def attention(site: Site) -> list[Out | None]:
    """Queries stay apart; of keys and values all are read, batch by batch and head by head."""
    made = _attention(site)
    rest = [None if k is None else _beside(site, n, made) for n, k in enumerate(site.call.outputs[1:], start=1)]
    return [made, *rest]


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
