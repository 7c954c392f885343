"""What changed in a model: its layers at the baseline and now, each a line of facts, compared in words. Pure."""

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any

from erfscope.gate.alignment import GAP, Pair, aligned
from erfscope_contract.architecture import Architecture
from erfscope_contract.job import Inspection
from erfscope_contract.numbers import plain

MOST = 3  # changes that are told
# What the field of a spec's layer follows from.
GEOMETRY = (
    "kernel_size", "offsets", "stride", "dilation", "padding", "output_padding", "padding_mode", "groups",
    "out_channels", "out_features", "ceil_mode", "count_include_pad", "norm_type", "output_size", "size", "margin",
    "scale_factor", "upscale_factor", "downscale_factor", "mode", "align_corners", "num_heads", "times", "merge",
)  # fmt: skip
FORMER = ("kernel_size", "stride", "dilation", "padding", "output_padding", "scale_factor", "times")
INPUT = "input"  # the kind of the first row, which is the network's input
# Facts of a layer of an ONNX file that follow from it and from all layers before it: told only where nothing else is.
FIELD = {"TRF": "TRF", "grid": "stride of the grid"}
MODULE = "module"  # names the layer for people; another name is not a change
IN_WORDS = {"step": "stride", "kernel_size": "kernel", "out_channels": "channels", "ceil_mode": "ceil mode",
            "output_padding": "output padding", "padding_mode": "padding mode", "scale_factor": "scale",
            "count_include_pad": "count of the padding", "upscale_factor": "scale", "downscale_factor": "scale",
            "output_size": "output size", "align_corners": "align corners", "num_heads": "heads",
            "out_features": "features", "norm_type": "power", **FIELD}  # fmt: skip
# Facts that introduce a layer which was added or removed, and their words.
SHOWN = {"kernel": "kernel", "kernel_size": "kernel", "step": "stride", "stride": "stride", "dilation": "dilation",
         "scale_factor": "scale", "times": "times"}  # fmt: skip
# What a spec leaves out; 1 where it is not here.
DEFAULTS = {"padding": "0", "output_padding": "0", "padding_mode": "zeros", "out_channels": "as before it",
            "ceil_mode": "0", "count_include_pad": "1", "norm_type": "2", "align_corners": "0", "size": "none",
            "margin": "none", "scale_factor": "none", "output_size": "none", "merge": "concat"}  # fmt: skip
Layers = Mapping[str, str]  # name → "conv kernel_size=3 dilation=8"


def of_spec(architecture: Architecture) -> dict[str, str]:
    """The layers of a spec and those inside of them; one without a name has that of its kind and its place."""
    spec = architecture.model_dump(mode="json", exclude_defaults=True)
    shape = [architecture.input.channels, *architecture.input.size]
    return {INPUT: _input(shape), **dict(_listed(spec.get("layers", []), ""))}


def of_inspection(inspection: Inspection, windows: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The input and the spatial layers of an ONNX file, with what `windows` tells of their operators."""
    rows = {
        row.name: _line(row.operator, {"TRF": row.trf_size, "grid": list(row.trf_stride), **windows.get(row.name, {})})
        for row in inspection.layers
    }
    return {inspection.input: _input(inspection.input_shape), **rows}


def _input(shape: Sequence[int]) -> str:
    """`input shape=3×64×64`."""
    return _line(INPUT, {"shape": "×".join(map(str, shape))})


def changed(before: Layers, now: Layers) -> str:
    """`dilation of context8 8 → 1.`: the first changes from input to output, in words; empty where there is none.

    Layers are compared with those of the same place: a layer that was added shifts the names behind it.
    """
    pairs = _paired(_rows(before), _rows(now))
    words = list(_operators(pairs)) or list(_fields(pairs))
    more = f" and {len(words) - MOST} more" if len(words) > MOST else ""
    return f"{'; '.join(words[:MOST])}{more}." if words else ""


@dataclass(frozen=True)
class _Row:
    """One layer."""

    name: str
    kind: str
    facts: Mapping[str, str]

    @cached_property
    def geometry(self) -> str:
        """Its line without its module, and without the values that follow from other layers."""
        own = {fact: "" if fact in FIELD else value for fact, value in self.facts.items() if fact != MODULE}
        return _line(self.kind, own)

    @property
    def reduced(self) -> "_Row":
        """With the facts alone that a baseline without the input's shape has."""
        return (
            self if "TRF" in self.facts else replace(self, facts={k: v for k, v in self.facts.items() if k in FORMER})
        )

    @property
    def summary(self) -> str:
        """`second (conv, kernel 3, stride 2)`."""
        shown = {word: self.facts[fact] for fact, word in SHOWN.items() if fact in self.facts}
        parts = [f"{word} {value}" for word, value in shown.items() if word == "kernel" or value != "1"]
        return _called(self, self.kind, *parts)


def _paired(before: Sequence[_Row], now: Sequence[_Row]) -> list[Pair[_Row]]:
    """Which layer is which: those at the same place where the sequence of kinds is as before, however many changed."""
    if not all(any(row.kind == INPUT for row in rows) for rows in (before, now)):  # an older baseline
        before, now = ([row.reduced for row in rows if row.kind != INPUT] for rows in (before, now))
    if [row.kind for row in before] == [row.kind for row in now]:
        return list(zip(before, now, strict=True))
    return aligned(before, now, _cost)


def _rows(layers: Layers) -> list[_Row]:
    return [_row(name, line) for name, line in layers.items()]


def _row(name: str, line: str) -> _Row:
    kind, *facts = line.split()
    return _Row(name, kind, _facts(facts))


def _cost(old: _Row, new: _Row) -> float:
    """Of taking one for the other: more where their names differ too, and the more of their facts differ.

    Torch's module counts more than the tensor's name, because an exporter numbers tensors anew. Both may coincide for
    another layer where one was inserted before it, so that a name outweighs few facts only.
    """
    by_module = MODULE in old.facts and MODULE in new.facts
    is_same = old.facts[MODULE] == new.facts[MODULE] if by_module else old.name == new.name
    doubt = 0.0 if is_same else 1e-3 if by_module else 1e-6
    if old.kind != new.kind:
        return doubt + (1.5 * GAP if is_same else 2 * GAP)
    facts = [] if old.geometry == new.geometry else [fact for fact, _, _ in _differing(old, new, without=FIELD)]
    count = len(facts) - ("padding" in facts and "dilation" in facts)  # the padding follows, to keep the size
    return doubt + (min(0.25 * count + (0.25 if is_same else 0.35), 1.25) * GAP if count else 0.0)


def _operators(pairs: Sequence[Pair[_Row]]) -> Iterator[str]:
    """Layers that were removed, were added, or have another kernel, stride or dilation."""
    for side, group in groupby(enumerate(pairs), key=lambda each: _lacking(each[1])):
        places = list(group)
        if side is not None:
            yield _run(pairs, side, places[0][0], places[-1][0])
        for _, (old, new) in places:
            if old is not None and new is not None:
                yield from _difference(old, new, without=FIELD)


def _lacking(pair: Pair[_Row]) -> int | None:
    """The side that has a layer which the other lacks: 0 is before, 1 is now; None where both have one."""
    return None if None not in pair else int(pair[0] is None)


def _run(pairs: Sequence[Pair[_Row]], side: int, first: int, last: int) -> str:
    """`layer b (conv) added between a and c`: layers in a row that one side has."""
    rows = [row for row in (pair[side] for pair in pairs[first : last + 1]) if row is not None]
    more = f" and {len(rows) - MOST} more" if len(rows) > MOST else ""
    words = f"layer{'s' * (len(rows) > 1)} {', '.join(row.summary for row in rows[:MOST])}{more}"
    before = next((row for row in (pair[side] for pair in reversed(pairs[:first])) if row is not None), None)
    after = next((row for row in (pair[side] for pair in pairs[last + 1 :]) if row is not None), None)
    return f"{words} {('removed', 'added')[side]}{_between(before, after)}"


def _between(before: _Row | None, after: _Row | None) -> str:
    if before is None:
        return f" before {_called(after)}" if after else ""
    return f" between {_called(before)} and {_called(after)}" if after else f" after {_called(before)}"


def _fields(pairs: Sequence[Pair[_Row]]) -> Iterator[str]:
    """The first layer whose field or grid differs: those behind it differ because of it."""
    for old, new in pairs:
        if old is not None and new is not None and (words := list(_difference(old, new, without=()))):
            yield ", ".join(words)
            return


def _difference(old: _Row, new: _Row, *, without: Container[str]) -> Iterator[str]:
    name = _called(new, *_former(old, new))
    if old.kind != new.kind:
        yield f"{name}: {old.kind} → {new.kind}"
    changes = [
        (IN_WORDS.get(fact, fact), f"{one} → {other}") for fact, one, other in _differing(old, new, without=without)
    ]
    if changes:
        (first, values), *more = changes
        yield ", ".join((f"{first} of {name} {values}", *map(" ".join, more)))


def _former(old: _Row, new: _Row) -> Iterator[str]:
    """`before: body.0`: the former module or, of a layer without one, the former name, where it has another now."""
    if MODULE in old.facts and MODULE in new.facts:
        if old.facts[MODULE] != new.facts[MODULE]:
            yield f"before: {old.facts[MODULE]}"
    elif old.name != new.name:
        yield f"before: {old.name}"


def _differing(old: _Row, new: _Row, *, without: Container[str]) -> Iterator[tuple[str, str, str]]:
    """Each fact that is another now, before and now."""
    for fact in _comparable(old.facts, new.facts):
        if fact not in without:
            sides = [row.facts.get(fact) or _default(fact, row.kind, row.facts) for row in (old, new)]
            if sides[0] != sides[1]:
                yield fact, sides[0], sides[1]


def _comparable(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[str]:
    """Of an ONNX file what both sides have (older baselines have less); a spec leaves out what is the default."""
    is_onnx = "TRF" in left or "TRF" in right
    for fact in dict.fromkeys((*left, *right)):
        if fact != MODULE and not (is_onnx and (fact not in left or fact not in right)):
            yield fact


def _default(fact: str, kind: str, facts: Mapping[str, str]) -> str:
    """What a fact is that a spec leaves out: a pool's stride is its kernel."""
    if fact == "stride" and kind.endswith("_pool"):
        return facts.get("kernel_size", "1")
    if fact == "mode":
        return "constant" if kind == "pad" else "nearest"
    return DEFAULTS.get(fact, "1")


def _called(row: _Row, *notes: str) -> str:
    """`getitem_6 (module last.1)`: with the torch module that the exporter noted, and with `notes`."""
    if row.kind == INPUT:
        return "the input"
    words = [f"module {row.facts[MODULE]}", *notes] if MODULE in row.facts else notes
    return f"{row.name} ({', '.join(words)})" if words else row.name


def _facts(words: Sequence[str]) -> dict[str, str]:
    return dict(tuple(word.split("=", 1)) for word in words)  # type: ignore[misc]  # two parts each


def _line(operator: str, facts: Mapping[str, Any]) -> str:
    return " ".join((operator, *(f"{name}={_value(value)}" for name, value in facts.items())))


def _value(value: Any) -> str:
    """`3`, or `3×5` where the axes differ."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list) and any(isinstance(side, list) for side in value):
        return json.dumps(value, separators=(",", ":"))
    sides = ["?" if side is None else plain(side) for side in value] if isinstance(value, list) else [str(value)]
    return sides[0] if len(set(sides)) == 1 else "×".join(sides)


def _listed(layers: Sequence[Mapping[str, Any]], prefix: str) -> Iterator[tuple[str, str]]:
    for place, layer in enumerate(layers):
        kind = str(layer.get("type", "layer"))
        name = f"{prefix}{layer.get('name') or f'{kind}_{place}'}"
        inner = [part for part in layer.values() if isinstance(part, list) and part and isinstance(part[0], dict)]
        if not inner:
            yield name, _line(kind, {key: layer[key] for key in GEOMETRY if key in layer})
        elif "times" in layer or "merge" in layer:
            yield name, _line(kind, {key: layer[key] for key in ("times", "merge") if key in layer})
        for part in inner:
            yield from _listed(part, f"{name}.")
