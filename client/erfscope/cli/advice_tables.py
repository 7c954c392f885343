"""Advice as people read it in a terminal: the table of changes, what each layer adds, and what follows."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text

from erfscope.cli import show, values
from erfscope.cli.asking import flags_of
from erfscope_contract.advice import Advice, AdviceLayer, Change
from erfscope_contract.gridding import GRIDDED
from erfscope_contract.holding import samples_in_words
from erfscope_contract.lengths import NAMES, Lengths, pixels_of, scaled, sides_in
from erfscope_contract.numbers import digits, plain, with_error

LAYERS = ("layer", "operator", "TRF", "ERF", "adds")
CHANGES = ("", "change", "ERF", "50 % box", "TRF", "MACs", "parameters", "memory", "output", "kept", "gridding")
SIZED = ("ERF", "50 % box", "TRF")  # columns of lengths
SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
FROM_TO = re.compile(r"\((\S+) … (\S+)\)")  # the first and the last of several layers
NAMED = 3  # idle layers by name


def summary(advice: Advice, lengths: Lengths) -> list[str]:
    """What is, and what is asked for."""
    unit = lengths.unit
    size = advice.erf_measured if advice.erf_measured is not None else advice.erf_analytic
    sized = _sized(size, advice.stderr, lengths)
    erf = sized if advice.erf_measured is not None else f"{plain(scaled(size, lengths))} (expected)"
    trf = "×".join(digits(side) for side in sides_in(advice.trf_size, lengths))
    asked = f"an ERF of {digits(advice.want * lengths.mean)} {unit}"
    if advice.object_size is not None:
        objects, share = digits(advice.object_size * lengths.mean), f"{(size or 0.0) / advice.object_size:.0%}"
        asked = f"objects of {objects} {unit}, so {asked}; the ERF is {share} of the object"
    return [
        f"{advice.layer}: ERF {erf} {unit}, TRF {trf} {unit}, at input {'×'.join(map(str, advice.input_shape))}.",
        f"Asked for: {asked}.",
        *_middle(advice),
        *([_idle(advice.layers)] if advice.layers else []),
    ]


def _middle(advice: Advice) -> list[str]:
    """That a change may do nothing for the answers of the network, where a layer within it was asked about."""
    if advice.head is None:
        return []
    return [
        f"This is about {advice.layer} alone, which lies before {advice.head}. A change that widens it may do nothing "
        f"at {advice.head}, above all behind skips: make the change, and measure {advice.head} before you train."
    ]


@dataclass(frozen=True)
class Asked:
    """The model as the command line named it, what people call it, and torch's module by tensor."""

    model: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)  # of the command, which the next one keeps
    modules: Mapping[str, str] = field(default_factory=dict)
    lengths: Lengths | None = None  # None is the input's own unit

    def unit_of(self, advice: Advice) -> Lengths:
        """In which lengths are shown."""
        return self.lengths or pixels_of(len(advice.trf_size))


def verdict(advice: Advice, asked: Asked) -> list[str]:
    """What to do."""
    if advice.reaches and not advice.is_unsure:
        return ["Nothing needs to change."]
    lengths = asked.unit_of(advice)
    doubt = [_doubt(advice, lengths)] if advice.is_unsure else []
    best = next((change for change in advice.changes if change.reaches), None)
    unscaled = next((change for change in advice.changes if change.reaches and change.input_parts is None), None)
    need = ", if one is needed" if doubt else ""
    rows = [*doubt, *([] if unscaled is not None else [_none(advice)])]
    if best is not None:
        rows += _choice("First choice", best, advice, asked, need)
    if unscaled is not None and unscaled is not best:
        rows += _choice("At the input as it is", unscaled, advice, asked, need)
    return rows if unscaled is not None else [*rows, *_next(advice, asked, lengths)]


def _choice(title: str, change: Change, advice: Advice, asked: Asked, need: str) -> list[str]:
    """A change, what is open about it, and the command that tests a smaller input."""
    lengths = asked.unit_of(advice)
    where = "" if advice.head is None else f" for {advice.layer} alone"
    text, first = with_modules(change, asked.modules), f"{title}{where}{need}"
    if change.unsure:
        return [f"{first}, unsure: {text}. Its ERF is {_open(change.size, change.stderr, advice, lengths)}"]
    if change.input_parts is None:
        return [f"{first}: {text}."]
    return [f"{first}: {text}. {_smaller(change, change.input_parts, advice, asked)}"]


def _smaller(change: Change, parts: int, advice: Advice, asked: Asked) -> str:
    """What the objects and the ERF are on a smaller input, where they are measured."""
    unit = NAMES[len(advice.trf_size)]  # a second or a millimetre has fewer samples or pixels then, and is as long

    def long(size: float) -> str:
        return f"{size / parts:.3g} {unit}"

    objects = "" if advice.object_size is None else f"the objects have {long(advice.object_size)} there, "
    lost = " Check that what counts can still be told there."
    fields = f"{objects}an ERF of {long(advice.want)} is needed, and {long(change.size)} are there."
    told = f"{fields[0].upper()}{fields[1:]}{lost}"
    if change.kind != "input_scale":
        return told
    return f"{told} Test it, or go on from it, with: {_tested(parts, advice, asked)}"


def _tested(parts: int, advice: Advice, asked: Asked) -> str:
    """The command about the layer at an input whose steps are so many times as long."""
    options, lengths = {name: value for name, value in asked.options.items() if name != "--verify"}, asked.lengths
    if options.get("--rate") is not None:
        options["--rate"] /= parts
    if options.get("--spacing") is not None:
        options["--spacing"] = values.times(options["--spacing"], parts)
    own = pixels_of(len(advice.trf_size))
    model, layer = shlex.quote(asked.model), shlex.quote(advice.layer)
    if advice.object_size is None:
        return f"erfscope measure {model} --layer {layer}{flags_of(options)}"
    size = advice.object_size if lengths else advice.object_size / parts
    return f"erfscope fit {model} --layer {layer} --object {values.typed(size, lengths or own)}{flags_of(options)}"


def _doubt(advice: Advice, lengths: Lengths) -> str:
    """That the network may be good as it is, and what decides it."""
    field = _open(advice.erf_measured or 0.0, advice.stderr, advice, lengths)
    return f"Unsure whether a change is needed: the ERF is {field}"


def _open(size: float, error: float | None, advice: Advice, lengths: Lengths) -> str:
    """A size that is within two standard errors of what is asked for, and how many samples decide."""
    samples = None if advice.about is None else advice.about.samples
    more = samples_in_words(size, error, advice.want, samples)
    want = f"{digits(advice.want * lengths.mean)} {lengths.unit}"
    return f"{_sized(size, error, lengths)} {lengths.unit}, and {want} are asked for. {more}"


def unfinished_verdict(advice: Advice, asked: Asked) -> list[str]:
    """What to do by what is known at an interruption."""
    best = next((change for change in advice.changes if change.reaches), None)
    if best is None and (not advice.reaches or advice.is_unsure):
        return ["Interrupted before a change was found that reaches it."]
    if best is None and advice.erf_measured is None:
        return ["By its expected size nothing needs to change."]
    if best is not None and is_unmeasured(best, advice):
        text = with_modules(best, asked.modules)
        return [f"First choice by its expected size, for it was not measured: {text}."]
    return verdict(advice, asked)


def is_unmeasured(change: Change, advice: Advice) -> bool:
    """Whether an interruption kept it from being measured, as the network was."""
    return change.erf_measured is None and advice.erf_measured is not None


def _none(advice: Advice) -> str:
    """How many changes that is about: most were looked at by their expected size alone."""
    if advice.erf_measured is None:
        return "No change of the network that was tried reaches it."
    if not advice.tried:
        return (
            "The search finds no change to try: every larger kernel, dilation or stride that it knows leaves holes in "
            "the field (gridding) or is beyond its limits."
        )
    return (
        f"No change of the network that was measured reaches it: the best of {advice.tried} by their expected size "
        "(--verify N measures N of them)."
    )


def _next(advice: Advice, asked: Asked, lengths: Lengths) -> list[str]:
    """Where else to ask: at the coarsest grid, from which a decoder gets the widest fields."""
    if advice.coarsest is None:
        return []
    option, long = ("want", advice.want) if advice.object_size is None else ("object", advice.object_size)
    size = f"--{option} {values.typed(long, lengths)}"
    layer = shlex.quote(advice.coarsest)
    command = f"erfscope advise {shlex.quote(asked.model)} --layer {layer} {size}{flags_of(asked.options)}"
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
    unit = pixels_of(len(layers[0].trf_size)).long
    title = f"Expected sizes (analytic), {unit}"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="bold")
    for heading in LAYERS:
        table.add_column(heading, justify="left" if heading in ("layer", "operator") else "right", no_wrap=True)
    for row in layers:
        mark = " (idle)" if row.idle else ""
        sizes = ("?" if value is None else f"{value:.1f}" for value in (row.erf_size, row.adds))
        table.add_row(show.cell(row.name + mark), row.operator, "×".join(map(str, row.trf_size)), *sizes)
    return table


def change_table(advice: Advice, modules: Mapping[str, str], lengths: Lengths) -> Table:
    """The network as it is, then the changes, best first, each with what it adds."""
    timed = advice.ms is not None
    names = [f"{name} ({lengths.unit})" if name in SIZED else name for name in CHANGES]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (*names, *(["ms"] if timed else [])):
        table.add_column(heading, justify="left" if heading in ("", "change") else "right", no_wrap=heading != "change")
    size = advice.erf_measured if advice.erf_measured is not None else advice.erf_analytic
    table.add_row(
        "", "as it is", _sized(size, advice.stderr, lengths), _half(advice.mass_50_side, lengths),
        _trf(advice.trf_size, lengths), count(advice.macs), count(advice.parameters),
        f"{count(advice.memory)}B", _grid(advice.layer_shape), "", _gridding(advice.lattice),
        *([plain(advice.ms)] if timed else []), style="dim",
    )  # fmt: skip
    for number, change in enumerate(advice.changes, start=1):
        table.add_row(f"{number}{'*' if change.pareto else ''}", *_cells(change, advice, modules, lengths, timed=timed))
    return table


def _half(side: float | None, lengths: Lengths) -> str:
    """The side of the box with half of the mass."""
    return "" if side is None else digits(side * lengths.mean, 3)


def _trf(sides: Sequence[int], lengths: Lengths) -> str:
    """Its side; along each axis where they differ."""
    return "×".join(dict.fromkeys(digits(side) for side in sides_in(sides, lengths))) if sides else ""


def _sized(size: float | None, error: float | None, lengths: Lengths) -> str:
    return with_error(scaled(size, lengths), scaled(error, lengths))


def _cells(
    change: Change, advice: Advice, modules: Mapping[str, str], lengths: Lengths, *, timed: bool
) -> list[str | Text]:
    text = with_modules(change, modules)
    text = f"{text} (unsure)" if change.unsure else text if change.reaches else f"{text} (falls short)"
    text = f"{text} (ERF expected)" if is_unmeasured(change, advice) else text
    return [
        show.cell(text),
        _sized(change.size, change.stderr, lengths),
        _half(change.mass_50_side, lengths),
        _trf(change.trf_size, lengths),
        _added(change.added_macs, advice.macs),
        _added(change.added_parameters, advice.parameters),
        _added(change.added_memory, advice.memory),
        _grid(change.layer_shape),
        "" if change.weights_kept is None else f"{change.weights_kept:.0%}",
        _gridding(change.lattice),
        *(["" if change.added_ms is None else f"{change.added_ms:+.3g}"] if timed else []),
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
