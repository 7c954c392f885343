"""Rules that are weaker than those of another state of the configuration, for each model that they guard. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from erfscope._request import SHORT
from erfscope.gate.config import Check, Gate
from erfscope.gate.drift import STRENGTH, Direction, Drift
from erfscope.gate.judge import range_of
from erfscope.gate.question import found_and_missing
from erfscope.gate.rules import Bound, Level
from erfscope_contract.request import ErfRequest

GONE = "no check guards {} any more"
MOST = 3  # models that are named
WAYS = {Direction.DOWN: "drift to less", Direction.UP: "drift to more"}
SOFTER = {Level.OFF: "is not judged any more", Level.WARN: "only warns now"}
NAMES = {place: short for short, place in SHORT.items()}
INPUTS = "inputs"


@dataclass(frozen=True)
class Loosened:
    """A check of the other state, the models for which it was stronger, and in what."""

    check: str
    models: str
    words: tuple[str, ...]
    line: int  # of the check that guards them now; 1 where none does


def loosened(before: Gate, now: Gate) -> Iterator[Loosened]:
    """What each check of `before` demanded of its models and no check of `now` does."""
    guards = [(check, _labels(now, check)) for check in now.checks]
    for old in before.checks:
        if not any(bound.level is not Level.OFF for bound in old.bounds.values()):
            continue
        weaker: dict[tuple[str, ...], list[str]] = {}
        lines: dict[tuple[str, ...], int] = {}
        for label in _labels(before, old) or _of_same_name(guards, old):
            checks = [check for check, labels in guards if label in labels]
            check = min(checks, key=lambda one: _distance(old, one), default=None)
            words = tuple(_weaker(old, check)) if check else (GONE,)
            if words:
                weaker.setdefault(words, []).append(label)
                lines.setdefault(words, check.line() if check else 1)
        for words, labels in weaker.items():
            them = "it" if len(labels) == 1 else "them"
            sentences = tuple(word.format(them) if word == GONE else word for word in words)
            yield Loosened(old.name, _named(labels), sentences, lines[words])


def _of_same_name(guards: Sequence[tuple[Check, list[str]]], old: Check) -> list[str]:
    """The models that the check has now, if it had others, which are not there any more."""
    return next((labels for check, labels in guards if check.name == old.name), [])


def _labels(gate: Gate, check: Check) -> list[str]:
    return [subject.label for subject in found_and_missing(gate, check)[0]]


def _named(models: list[str]) -> str:
    more = f" and {len(models) - MOST} more" if len(models) > MOST else ""
    return f"{', '.join(models[:MOST])}{more}"


def _distance(old: Check, new: Check) -> tuple[bool, bool, int]:
    """One that is as strong first, then one of the same name."""
    count = len(list(_weaker(old, new)))
    return count > 0, new.name != old.name, count


def _weaker(old: Check, new: Check) -> Iterator[str]:
    """What `old` demands of a model and `new` does not, in words."""
    yield from _asked(old.request, new.request)
    for name, bound in old.bounds.items():
        if bound.level is not Level.OFF:
            yield from _bound(name, bound, new.bounds.get(name))
    yield from _drift(old, new)


def _asked(old: ErfRequest, new: ErfRequest) -> Iterator[str]:
    """Another measurement; more inputs than before are not weaker."""
    was, now = dict(_fields(old)), dict(_fields(new))
    for name, value in was.items():
        is_more = name == INPUTS and now[name] > value
        if now[name] != value and not is_more and (name, now[name]) != ("verify", True):
            yield f"{name} {_value(value)} → {_value(now[name])}"


def _fields(request: ErfRequest) -> Iterator[tuple[str, Any]]:
    """Every field by the name that the configuration has for it."""
    for section, part in request.model_dump(mode="json", exclude={"model"}).items():
        for field, value in part.items() if isinstance(part, Mapping) else [("", part)]:
            yield NAMES.get((section, field), f"{section}.{field}".removesuffix(".")), value


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value)


def _bound(name: str, old: Bound, new: Bound | None) -> Iterator[str]:
    rule = f"{name} {range_of(name, old)}" if old.is_bounded else name
    if new is None or new.level is Level.OFF:
        yield f"{rule} is not {'judged' if old.is_bounded else 'watched'} any more"
        return
    if _is_wider(old, new):
        yield f"{rule} → {range_of(name, new) if new.is_bounded else 'no bound'}"
    if STRENGTH.index(new.level) < STRENGTH.index(old.level):
        yield f"{rule} only warns now"


def _is_wider(old: Bound, new: Bound) -> bool:
    """Whether a value that breaks `old` may hold in `new`."""
    low = old.min is not None and (new.min is None or new.min < old.min)
    return low or (old.max is not None and (new.max is None or new.max > old.max))


def _drift(old: Check, new: Check) -> Iterator[str]:
    """How the drift of the metrics that both judge is weaker; what holds for all of them is told once."""
    if old.drift is None or not old.is_watched:
        return
    if new.drift is None or not new.is_watched:
        yield f"drift of {old.drift} is not judged any more"
        return
    metrics = [
        name for name, bound in old.bounds.items() if Level.OFF not in (bound.level, _level(new.bounds.get(name)))
    ]
    words: dict[str, list[str]] = {}
    for name in metrics:
        for word in _limit(old.drift.of(name), new.drift.of(name)):
            words.setdefault(word, []).append(name)
    for word, names in words.items():
        yield word if names == metrics else f"{word} ({', '.join(names)})"


def _level(bound: Bound | None) -> Level:
    return Level.OFF if bound is None else bound.level


def _limit(old: Drift, new: Drift) -> Iterator[str]:
    is_comparable = isinstance(old.max, str) == isinstance(new.max, str)
    if not is_comparable or new.tolerance(1.0) > old.tolerance(1.0):
        yield f"drift {old} → {new}"
    weaker = {way: new.level_of(way) for way in WAYS if _strength(new, way) < _strength(old, way)}
    if len(weaker) == len(WAYS) and len(set(weaker.values())) == 1:
        yield f"drift {SOFTER[weaker[Direction.DOWN]]}"
    else:
        yield from (f"{WAYS[way]} {SOFTER[level]}" for way, level in weaker.items())


def _strength(drift: Drift, way: Direction) -> int:
    return STRENGTH.index(drift.level_of(way))
