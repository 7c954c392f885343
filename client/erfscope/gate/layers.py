"""What changed in a model: its layers at the baseline and now, each a line of facts, compared in words. Pure."""

from collections.abc import Container, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from erfscope_contract.architecture import Architecture
from erfscope_contract.job import Inspection
from erfscope_contract.numbers import plain

MOST = 3  # changes that are told
# What the field of a spec's layer follows from.
GEOMETRY = ("kernel_size", "stride", "dilation", "padding", "output_padding", "scale_factor")
# Facts of a layer of an ONNX file that follow from it and from all layers before it: told only where nothing else is.
FIELD = {"TRF": "TRF", "grid": "stride of the grid"}
MODULE = "module"  # names the layer for people; another name is not a change
IN_WORDS = {"step": "stride", **FIELD}
Layers = Mapping[str, str]  # name → "conv kernel_size=3 dilation=8"


def of_spec(architecture: Architecture) -> dict[str, str]:
    """The layers of a spec and those inside of them; one without a name has that of its kind and its place."""
    spec = architecture.model_dump(mode="json", exclude_defaults=True)
    return dict(_listed(spec.get("layers", []), ""))


def of_inspection(inspection: Inspection, windows: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The spatial layers of an ONNX file, with what `windows` tells of their operators."""
    return {
        row.name: _line(row.operator, {"TRF": row.trf_size, "grid": list(row.trf_stride), **windows.get(row.name, {})})
        for row in inspection.layers
    }


def changed(before: Layers, now: Layers) -> str:
    """`dilation of context8 8 → 1.`: the first changes from input to output, in words; empty where there is none."""
    told = list(_operators(before, now)) or list(_fields(before, now))
    more = f" and {len(told) - MOST} more" if len(told) > MOST else ""
    return f"{'; '.join(told[:MOST])}{more}." if told else ""


def _operators(before: Layers, now: Layers) -> Iterator[str]:
    """Layers that are gone, are new, or have another kernel, stride or dilation."""
    old, new = list(before), list(now)
    for kind, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            for name in old[start:end]:
                yield from _difference(name, before[name], now[name], without=FIELD)
        else:
            yield from (f"{name} ({before[name].split()[0]}) is gone" for name in old[start:end])
            yield from (f"{name} ({now[name].split()[0]}) is new" for name in new[first:last])


def _fields(before: Layers, now: Layers) -> Iterator[str]:
    """The first layer whose field or grid differs: those behind it differ because of it."""
    for name in before:
        words = list(_difference(name, before[name], now.get(name, before[name]), without=()))
        if words:
            yield ", ".join(words)
            return


def _difference(name: str, before: str, now: str, *, without: Container[str]) -> Iterator[str]:
    (was, *old), (is_now, *new) = before.split(), now.split()
    left, right = _facts(old), _facts(new)
    if was != is_now:
        yield f"{name}: {was} → {is_now}"
    for fact in _comparable(left, right):
        one, other = left.get(fact) or _default(fact, was, left), right.get(fact) or _default(fact, is_now, right)
        if fact not in without and one != other:
            yield f"{IN_WORDS.get(fact, fact)} of {_called(name, right)} {one} → {other}"


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
    return "0" if "padding" in fact else "1"


def _called(name: str, facts: Mapping[str, str]) -> str:
    """`getitem_6 (module last.1)`: with the torch module that the exporter noted."""
    return f"{name} (module {facts[MODULE]})" if MODULE in facts else name


def _facts(words: Sequence[str]) -> dict[str, str]:
    return dict(tuple(word.split("=", 1)) for word in words)  # type: ignore[misc]  # two parts each


def _line(operator: str, facts: Mapping[str, Any]) -> str:
    return " ".join((operator, *(f"{name}={_value(value)}" for name, value in facts.items())))


def _value(value: Any) -> str:
    """`3`, or `3×5` where the axes differ."""
    sides = ["?" if side is None else plain(side) for side in value] if isinstance(value, list) else [str(value)]
    return sides[0] if len(set(sides)) == 1 else "×".join(sides)


def _listed(layers: Sequence[Mapping[str, Any]], prefix: str) -> Iterator[tuple[str, str]]:
    for place, layer in enumerate(layers):
        kind = str(layer.get("type", "layer"))
        name = f"{prefix}{layer.get('name') or f'{kind}_{place}'}"
        inner = [part for part in layer.values() if isinstance(part, list) and part and isinstance(part[0], dict)]
        if not inner:
            yield name, _line(kind, {key: layer[key] for key in GEOMETRY if key in layer})
        elif "times" in layer:
            yield name, _line(kind, {"times": layer["times"]})
        for part in inner:
            yield from _listed(part, f"{name}.")
