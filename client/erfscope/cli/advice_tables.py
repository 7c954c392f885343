"""Advice as people read it in a terminal: the table of changes, what each layer adds, and what follows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from rich.table import Table
from rich.text import Text

from erfscope.cli import show
from erfscope_contract.advice import Advice, AdviceLayer, Change
from erfscope_contract.numbers import plain, with_error

LAYERS = ("layer", "operator", "TRF", "ERF", "adds")
CHANGES = ("", "change", "ERF (px)", "MACs", "parameters", "memory", "output", "kept", "gridding")
SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
GRIDDED = 0.1  # lattice score from which holes in the map are plain
FROM_TO = re.compile(r"\((\S+) … (\S+)\)")  # the first and the last of several layers
NAMED = 3  # idle layers by name


def summary(advice: Advice) -> list[str]:
    """What is, and what is asked for."""
    size = advice.erf_measured if advice.erf_measured is not None else advice.erf_analytic
    told = with_error(size, advice.stderr) if advice.erf_measured is not None else f"{plain(size)} (expected)"
    trf = "×".join(map(str, advice.trf_size))
    asked = f"an ERF of {advice.want:g} px"
    if advice.object_size is not None:
        share = f"{(size or 0.0) / advice.object_size:.0%}"
        asked = f"objects of {advice.object_size:g} px, so {asked}; the ERF is {share} of the object"
    return [
        f"{advice.layer}: ERF {told} px, TRF {trf}, at input {'×'.join(map(str, advice.input_shape))}.",
        f"Asked for: {asked}.",
        _idle(advice.layers),
    ]


@dataclass(frozen=True)
class Asked:
    """The model as the command line named it, what people call it, and torch's module by tensor."""

    model: str
    name: str
    flags: str = ""  # of the command, which the next one keeps
    modules: Mapping[str, str] = field(default_factory=dict)


def verdict(advice: Advice, asked: Asked) -> list[str]:
    """What to do."""
    if advice.reaches and not advice.changes:
        return ["Nothing needs to change."]
    best = next((change for change in advice.changes if change.reaches), None)
    if best is None:
        return ["No change that was tried reaches it.", *_smaller(advice), *_next(advice, asked)]
    return [f"First choice: {with_modules(best, asked.modules)}."]


def _smaller(advice: Advice) -> list[str]:
    """How far the input must be scaled down until the largest ERF that was found is large enough."""
    size = advice.erf_measured if advice.erf_measured is not None else advice.erf_analytic
    found = [(number, change.size) for number, change in enumerate(advice.changes, start=1) if change.size]
    number, largest = max([(0, size or 0.0), *found], key=lambda one: one[1])
    parts = ceil(advice.want / largest) if largest > 0 else 1
    if parts == 1:
        return []
    with_change = f"with change {number}" if number else "as it is"
    objects = "" if advice.object_size is None else f"the objects are {advice.object_size / parts:.3g} px, and "
    return [
        f"Or scale the input to 1/{parts} of its size: there {objects}an ERF of {advice.want / parts:.3g} px is "
        f"enough, which the network has {with_change} ({largest:.3g} px). Or give it one more stage below "
        "the coarsest, with a skip, and train it."
    ]


def _next(advice: Advice, asked: Asked) -> list[str]:
    """Where else to ask: at the coarsest grid, from which a decoder gets the widest fields."""
    if advice.coarsest is None:
        return []
    size = f"--want {advice.want:g}" if advice.object_size is None else f"--object {advice.object_size:g}"
    command = f"erfscope advise {asked.model} --layer {advice.coarsest} {size}{asked.flags}"
    return [
        f"Next: ask at the coarsest level that {advice.layer} is computed from: {command}. A change there need not "
        f"enlarge the field of {advice.layer}, for skips give it small ones: measure it after the change, and once "
        "more after training."
    ]


def with_modules(change: Change, modules: Mapping[str, str]) -> str:
    """The change with torch's module behind each tensor that it names: `dilate conv2d_7 [join.2]: times 2`."""
    names = {name for edit in change.edits for name in (edit.layer, edit.after.removeprefix("behind "))}
    names |= {name for ends in FROM_TO.findall(change.text) for name in ends}
    known = sorted((name for name in names if name in modules), key=len, reverse=True)
    if not known:
        return change.text
    named = re.compile(rf"(?<![\w./])({'|'.join(map(re.escape, known))})(?![\w/])")
    return named.sub(lambda found: f"{found[0]} [{modules[found[0]]}]", change.text)


def _idle(layers: Sequence[AdviceLayer]) -> str:
    idle = [row.name for row in layers if row.idle]
    more = f" and {len(idle) - NAMED} more" if len(idle) > NAMED else ""
    return f"Layers that add (nearly) nothing to it: {', '.join(idle[:NAMED]) or 'none'}{more}."


def layer_table(layers: Sequence[AdviceLayer]) -> Table:
    """The profile along depth: what each layer adds."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in LAYERS:
        table.add_column(heading, justify="left" if heading in ("layer", "operator") else "right", no_wrap=True)
    for row in layers:
        mark = " (idle)" if row.idle else ""
        sizes = ("?" if value is None else f"{value:.1f}" for value in (row.erf_size, row.adds))
        table.add_row(show.cell(row.name + mark), row.operator, "×".join(map(str, row.trf_size)), *sizes)
    return table


def change_table(advice: Advice, modules: Mapping[str, str]) -> Table:
    """The network as it is, then the changes, best first, each with what it adds."""
    timed = advice.ms is not None
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (*CHANGES, *(["ms"] if timed else [])):
        table.add_column(heading, justify="left" if heading in ("", "change") else "right", no_wrap=heading != "change")
    size = advice.erf_measured if advice.erf_measured is not None else advice.erf_analytic
    table.add_row(
        "", "as it is", with_error(size, advice.stderr), count(advice.macs), count(advice.parameters),
        f"{count(advice.memory)}B", _grid(advice.layer_shape), "", _gridding(advice.lattice),
        *([plain(advice.ms)] if timed else []), style="dim",
    )  # fmt: skip
    for number, change in enumerate(advice.changes, start=1):
        table.add_row(f"{number}{'*' if change.pareto else ''}", *_cells(change, advice, modules, timed=timed))
    return table


def _cells(change: Change, advice: Advice, modules: Mapping[str, str], *, timed: bool) -> list[str | Text]:
    text = with_modules(change, modules)
    text = text if change.reaches else f"{text} (falls short)"
    return [
        show.cell(text),
        with_error(change.size, change.stderr),
        _added(change.added_macs, advice.macs),
        _added(change.added_parameters, advice.parameters),
        _added(change.added_memory, advice.memory),
        _grid(change.layer_shape),
        "" if change.weights_kept is None else f"{change.weights_kept:.0%}",
        _gridding(change.lattice),
        *([f"{change.added_ms or 0.0:+.3g}"] if timed else []),
    ]


def _added(number: int, whole: int) -> str:
    """In per cent of the network as it is; what is more than doubled as a factor."""
    if number == 0:
        return "0"
    share = number / max(whole, 1)
    return f"{share:+.1%}" if abs(share) < 1 else f"×{1 + share:.2g}"


def _grid(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape[1:]))


def _gridding(score: float | None) -> str:
    if score is None:
        return ""
    return f"{score:.2f}" + (" holes" if score > GRIDDED else "")


def count(number: int, *, sign: bool = False) -> str:
    """`1.2M`, with its sign where asked."""
    for scale, letter in SCALES:
        if abs(number) >= scale:
            return f"{number / scale:{'+' if sign else ''}.3g}{letter}"
    return f"{number:+d}" if sign else str(number)
