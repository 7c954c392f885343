"""What differs between two states of the baseline, in words: values, layers, entries that are new or gone. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from erfscope.gate import layers
from erfscope.gate.baseline import Baseline, Entry
from erfscope.gate.findings import Finding, Verdict
from erfscope.gate.judge import Value, shown

OTHERWISE = "the former measurement is gone; no check asks for it any more"


def changes(before: Baseline, now: Baseline) -> list[str]:
    """`models/a.onnx: erf_size 19 → 13 px; dilation of conv2 4 → 1.`, a line for each entry that is not as before."""
    return [f"{one.model}: {one.words}." for one in differences(before, now)]


def unsure(finding: Finding) -> Finding:
    """A drift rule that holds of a value so uncertain that it could not break, as a warning: it would be committed."""
    return replace(finding, verdict=Verdict.WARN) if finding.needs and finding.verdict is Verdict.PASS else finding


@dataclass(frozen=True)
class Difference:
    """One entry that is not as before."""

    model: str
    words: str
    is_new: bool = False
    now: str = ""  # what the model is called now, if it has another name


def differences(before: Baseline, now: Baseline) -> Iterator[Difference]:
    """Every entry that is not as before; one that was renamed is not new."""
    renamed = _renamed(before, now)
    successors = {id(entry) for entry in renamed.values()}
    for key, entry in now.entries.items():
        old = before.entries.get(key)
        if id(entry) in successors:
            continue
        if old is None:
            yield Difference(entry.model, f"new, with {_values(entry)}", is_new=True)
        elif told := [*_moved(old, entry), *_geometry(old, entry)]:
            yield Difference(entry.model, "; ".join(told))
    for key, entry in before.entries.items():
        if (new := renamed.get(key)) is not None:
            phrases = [f"renamed to {new.model}", *_moved(entry, new), *_geometry(entry, new)]
            yield Difference(entry.model, "; ".join(phrases), now=new.model)
        elif key not in now.entries:
            is_there = entry.model in now.models
            yield Difference(entry.model, OTHERWISE if is_there else "gone; no check measures it any more")


def _renamed(before: Baseline, now: Baseline) -> dict[str, Entry]:
    """Entries whose model has another name now, by their key: the same content, or the same input shape and layers."""
    gone = {key: entry for key, entry in before.entries.items() if key not in now.entries}
    new = [entry for key, entry in now.entries.items() if key not in before.entries]
    renamed: dict[str, Entry] = {}
    for is_same in (_is_same_content, _has_same_layers):
        for key, old in gone.items():
            taken = {id(entry) for entry in renamed.values()}
            free = (one for one in new if id(one) not in taken and one.request == old.request and is_same(old, one))
            if key not in renamed and (successor := next(free, None)):
                renamed[key] = successor
    return renamed


def _is_same_content(old: Entry, new: Entry) -> bool:
    return bool(old.question) and old.question == new.question


def _has_same_layers(old: Entry, new: Entry) -> bool:
    return bool(old.layers) and bool(new.layers) and not layers.changed(old.layers, new.layers)


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
