"""What an update of the baseline changed, in words: values, layers, entries that are new or gone. Pure."""

from collections.abc import Iterator

from erfscope.gate import layers
from erfscope.gate.baseline import Baseline, Entry
from erfscope.gate.judge import Value, shown


def changes(before: Baseline, now: Baseline) -> list[str]:
    """`models/a.onnx: erf_size 19 → 13 px; dilation of conv2 4 → 1.`, a line for each entry that is not as before."""
    return list(_changes(before, now))


def _changes(before: Baseline, now: Baseline) -> Iterator[str]:
    for key, entry in now.entries.items():
        old = before.entries.get(key)
        if old is None:
            yield f"{entry.model}: new, with {_values(entry)}."
        elif told := [*_moved(old, entry), *_geometry(old, entry)]:
            yield f"{entry.model}: {'; '.join(told)}."
    for key, entry in before.entries.items():
        if key not in now.entries:
            yield f"{entry.model}: gone; no check measures it any more."


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
