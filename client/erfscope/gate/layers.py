"""What changed in a model: its layers at the baseline and now, each a line of facts, compared in words. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from erfscope_contract.architecture import Architecture
from erfscope_contract.job import Inspection
from erfscope_contract.numbers import plain

MOST = 3  # changes that are told
# What the field of a spec's layer follows from; a layer of an ONNX file has its field and stride instead.
GEOMETRY = ("kernel_size", "stride", "dilation", "padding", "output_padding", "scale_factor")
FIELD = ("TRF", "stride")
Layers = Mapping[str, str]  # name → "conv kernel_size=3 dilation=8"


def of_spec(architecture: Architecture) -> dict[str, str]:
    """The layers of a spec and those inside of them; one without a name has that of its kind and its place."""
    spec = architecture.model_dump(mode="json", exclude_defaults=True)
    return dict(_listed(spec.get("layers", []), ""))


def of_inspection(inspection: Inspection) -> dict[str, str]:
    """The spatial layers of an ONNX file."""
    return {
        row.name: _line(row.operator, {"TRF": row.trf_size, "stride": list(row.trf_stride)})
        for row in inspection.layers
    }


def changed(before: Layers, now: Layers) -> str:
    """`context8: dilation 8 → 1.`: the first changes from input to output, in words; empty where there is none."""
    told = list(_changes(before, now))
    more = f" and {len(told) - MOST} more" if len(told) > MOST else ""
    return f"Changed in the model: {'; '.join(told[:MOST])}{more}." if told else ""


def _changes(before: Layers, now: Layers) -> Iterator[str]:
    old, new = list(before), list(now)
    is_first = True  # the field and the stride of what follows a change differ because of it
    for kind, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            for name in old[start:end]:
                if words := _difference(before[name], now[name], with_field=is_first):
                    yield f"{name}: {words}"
                    is_first = False
        else:
            yield from (f"{name} ({before[name].split()[0]}) is gone" for name in old[start:end])
            yield from (f"{name} ({now[name].split()[0]}) is new" for name in new[first:last])


def _difference(before: str, now: str, *, with_field: bool) -> str:
    (was, *old), (is_now, *new) = before.split(), now.split()
    kinds = [f"{was} → {is_now}"] if was != is_now else []
    left, right = _facts(old), _facts(new)
    facts = [
        f"{name} {left.get(name, '1')} → {right.get(name, '1')}"  # a spec leaves out what is 1
        for name in dict.fromkeys((*left, *right))
        if left.get(name) != right.get(name) and (with_field or name not in FIELD or name not in left)
    ]
    return ", ".join((*kinds, *facts))


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
        for part in inner:
            yield from _listed(part, f"{name}.")
