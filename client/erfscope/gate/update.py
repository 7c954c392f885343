"""What differs between two states of the baseline, in words: values, layers, entries that are new or gone. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from erfscope.gate import layers
from erfscope.gate.baseline import Baseline, Entry
from erfscope.gate.judge import Value, shown


def changes(before: Baseline, now: Baseline) -> list[str]:
    """`models/a.onnx: erf_size 19 → 13 px; dilation of conv2 4 → 1.`, a line for each entry that is not as before."""
    return [f"{one.model}: {one.words}." for one in differences(before, now)]


@dataclass(frozen=True)
class Difference:
    """One entry that is not as before."""

    model: str
    words: str
    is_new: bool = False


def differences(before: Baseline, now: Baseline) -> Iterator[Difference]:
    """Every entry that is not as before."""
    for key, entry in now.entries.items():
        old = before.entries.get(key)
        if old is None:
            yield Difference(entry.model, f"new, with {_values(entry)}", is_new=True)
        elif told := [*_moved(old, entry), *_geometry(old, entry)]:
            yield Difference(entry.model, "; ".join(told))
    for key, entry in before.entries.items():
        if key not in now.entries:
            yield Difference(entry.model, "gone; no check measures it any more")


def _values(entry: Entry) -> str:
    return ", ".join(f"{name} {shown(name, Value(one.value, one.stderr))}" for name, one in entry.metrics.items())


def _moved(old: Entry, new: Entry) -> Iterator[str]:
    for name, one in new.metrics.items():
        was = old.metrics.get(name)
        if was is None:
            yield f"{name} is new, {shown(name, Value(one.value, one.stderr))}"
        elif was.value != one.value:
            sides = (shown(name, Value(each.value, each.stderr)) for each in (was, one))
            yield f"{name} {' → '.join(sides)}"
    yield from (f"{name} is no longer kept" for name in old.metrics if name not in new.metrics)


def _geometry(old: Entry, new: Entry) -> Iterator[str]:
    if told := layers.changed(old.layers, new.layers) if old.layers else "":
        yield told.removesuffix(".")
