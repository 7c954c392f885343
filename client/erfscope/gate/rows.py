"""One layer of a network as a line of facts, what differs between two of them, and the words for it. Pure."""

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

from erfscope_contract.numbers import plain

FORMER = ("kernel_size", "stride", "dilation", "padding", "output_padding", "scale_factor", "times")
INPUT = "input"  # the kind of the first row, which is the network's input
# Facts of a layer of an ONNX file that follow from it and from all layers before it: told only where nothing else is.
FIELD = {"TRF": "TRF", "grid": "stride of the grid"}
MODULE = "module"  # names the layer for people; another name is not a change
READS = "from"  # the layers that a layer reads; compared by their places, because an exporter numbers tensors anew
NOT_ITS_OWN = (MODULE, READS)
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
PLAIN = "/:.[]()$@+-*"  # signs that stay in the name of a layer that another one reads; a space or a comma would end it


@dataclass(frozen=True)
class Row:
    """One layer."""

    name: str
    kind: str
    facts: Mapping[str, str]

    @cached_property
    def geometry(self) -> str:
        """Its line without its module, and without what depends on other layers."""
        facts = {fact: "" if fact in FIELD else value for fact, value in self.facts.items() if fact not in NOT_ITS_OWN}
        return line_of(self.kind, facts)

    @property
    def reads(self) -> list[str]:
        """The layers that it reads, each by its `word`."""
        return [name for name in self.facts.get(READS, "").split(",") if name]

    @property
    def word(self) -> str:
        """Its name as the layers that read it have it."""
        return word(self.name)

    @property
    def reduced(self) -> "Row":
        """With the facts alone that a baseline without the input's shape has."""
        return (
            self if "TRF" in self.facts else replace(self, facts={k: v for k, v in self.facts.items() if k in FORMER})
        )

    @property
    def summary(self) -> str:
        """`second (conv, kernel 3, stride 2)`."""
        shown = {word: self.facts[fact] for fact, word in SHOWN.items() if fact in self.facts}
        parts = [f"{word} {value}" for word, value in shown.items() if word == "kernel" or value != "1"]
        return called(self, self.kind, *parts)


def rows_of(layers: Layers) -> list[Row]:
    """The layers, in their order."""
    return [_row(name, line) for name, line in layers.items()]


def _row(name: str, line: str) -> Row:
    kind, *facts = line.split()
    return Row(name, kind, _facts(facts))


def difference(old: Row, new: Row, *, without: Container[str]) -> Iterator[str]:
    """`dilation of conv2 4 → 1, padding 4 → 1`: another kind, and other facts than `without`."""
    name = called(new, *_former(old, new))
    if old.kind != new.kind:
        yield f"{name}: {old.kind} → {new.kind}"
    changes = [
        (IN_WORDS.get(fact, fact), f"{one} → {other}") for fact, one, other in differing(old, new, without=without)
    ]
    if changes:
        (first, values), *more = changes
        yield ", ".join((f"{first} of {name} {values}", *map(" ".join, more)))


def _former(old: Row, new: Row) -> Iterator[str]:
    """`before: body.0`: the former module or, of a layer without one, the former name, where it has another now."""
    if MODULE in old.facts and MODULE in new.facts:
        if old.facts[MODULE] != new.facts[MODULE]:
            yield f"before: {old.facts[MODULE]}"
    elif old.name != new.name:
        yield f"before: {old.name}"


def differing(old: Row, new: Row, *, without: Container[str]) -> Iterator[tuple[str, str, str]]:
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
        if fact not in NOT_ITS_OWN and not (is_onnx and (fact not in left or fact not in right)):
            yield fact


def _default(fact: str, kind: str, facts: Mapping[str, str]) -> str:
    """What a fact is that a spec leaves out: a pool's stride is its kernel."""
    if fact == "stride" and kind.endswith("_pool"):
        return facts.get("kernel_size", "1")
    if fact == "mode":
        return "constant" if kind == "pad" else "nearest"
    return DEFAULTS.get(fact, "1")


def called(row: Row, *notes: str) -> str:
    """`getitem_6 (module last.1)`: with the torch module that the exporter noted, and with `notes`."""
    if row.kind == INPUT:
        return "the input"
    words = [f"module {row.facts[MODULE]}", *notes] if MODULE in row.facts else notes
    return f"{row.name} ({', '.join(words)})" if words else row.name


def _facts(words: Sequence[str]) -> dict[str, str]:
    return dict(tuple(word.split("=", 1)) for word in words)  # type: ignore[misc]  # two parts each


def word(name: str) -> str:
    """A name without spaces and commas."""
    return quote(name, safe=PLAIN)


def line_of(operator: str, facts: Mapping[str, Any]) -> str:
    """`Conv kernel=3 dilation=8`."""
    return " ".join((operator, *(f"{name}={_value(value)}" for name, value in facts.items())))


def _value(value: Any) -> str:
    """`3`, or `3×5` where the axes differ."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list) and any(isinstance(side, list) for side in value):
        return json.dumps(value, separators=(",", ":"))
    sides = ["?" if side is None else plain(side) for side in value] if isinstance(value, list) else [str(value)]
    return sides[0] if len(set(sides)) == 1 else "×".join(sides)
