"""Recurrent kernels: each step of time reads all steps before it (or behind it), and all features."""

from erfscope_engine.geometry.digits import Digit, Run
from erfscope_engine.geometry.frame import Frame, Link, everything, mixed
from erfscope_engine.geometry.spans import Span
from erfscope_engine.operators.site import Out, Site, out, unknown
from erfscope_engine.operators.table import operator
from erfscope_engine.recording.tape import Ref


@operator("mkldnn_rnn_layer")
def layer(site: Site) -> list[Out | None]:
    """One direction of one LSTM layer over (time, batch, features)."""
    x = site.arg("input")
    if not isinstance(x, Ref):  # time comes first here, whatever `batch_first` was for the layer
        return unknown(site)
    frame = site.frame(x)
    time, batch, features = frame.axes
    links = [*_steps(time, reverse=site.arg("reverse")), *everything(features, site.name)]
    seats = mixed(frame, (*time, *features), site.name)
    hidden = (Digit(site.out_shape()[-1]),)
    beside = [(ref, _beside(site, ref, batch)) for ref in site.refs if ref != x]
    sequence = out(Frame((time, batch, hidden), seats), (x, links), *beside)
    every = [(x, everything((*time, *features), site.name)), *beside]
    last = out(Frame(((), batch, hidden), seats), *every)
    return [sequence] + [None if k is None else _last(site, n, last) for n, k in enumerate(site.call.outputs) if n]


def _last(site: Site, k: int, last: Out) -> Out:
    """A state at the end; the workspace is nobody's."""
    if len(site.out_shape(k)) == len(last.frame.axes):
        return last
    axes = tuple((Digit(n),) for n in site.out_shape(k))
    every = [(ref, everything(site.frame(ref).digits, site.name)) for ref in site.refs]
    return out(Frame(axes, last.frame.seats), *every)


def _steps(time: Run, *, reverse: bool) -> list[Link]:
    extent = 1
    for digit in time:
        extent *= digit.extent

    def look(span: Span) -> Span:
        return Span(span.lo, max(span.hi, extent), span.why) if reverse else Span(min(span.lo, 0), span.hi, span.why)

    return [Link(time, (time,), look)] if time else []


def _beside(site: Site, ref: Ref, batch: Run) -> list[Link]:
    """A first state, or weights that depend on the input: whole, samples apart."""
    return everything([digit for digit in site.frame(ref).digits if digit not in batch], site.name)
