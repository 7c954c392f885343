"""Receptive fields in tests: measure a model, assert a metric, compare two models."""

import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from erfscope._errors import from_problem
from erfscope._models import PRESET, check_one_shape, prepare
from erfscope._request import build
from erfscope._result import Measured
from erfscope.gate.answers import Means, ask
from erfscope.gate.cache import Cache
from erfscope.gate.drift import Drift
from erfscope.gate.judge import Change, Value, broken_end, nearness, range_of, shown, values
from erfscope.gate.mends import mend_bound
from erfscope.gate.question import Question, Subject
from erfscope.gate.rules import Bound, impossible, nearest
from erfscope_contract.invalid import field_errors
from erfscope_contract.problem import Problem

R = TypeVar("R", Bound, Drift)


class Erf(Measured):
    """A measurement in a test: `metrics`, `stderr`, `data`, and assertions that say what they found."""

    def assert_metric(
        self, name: str, *, min: float | None = None, max: float | None = None, message: str | None = None
    ) -> None:
        """Fail unless the metric (by its flat name) lies within its bounds."""
        __tracebackhide__ = True
        bound = _rule(Bound, {"min": min, "max": max, "message": message})
        if not bound.is_bounded:
            raise TypeError("assert_metric needs min, max or both")
        if why := impossible(name, bound):
            raise ValueError(why)
        found = self._value(name)
        if end := broken_end(bound, found.value):
            told = f"{name}: expected {range_of(name, bound)}, found {shown(name, found)}."
            raise AssertionError(" ".join(filter(None, (message, told, nearness(bound, found), mend_bound(name, end)))))

    def assert_close(self, other: Measured, *names: str, tolerance: str | float = "5%") -> None:
        """Fail where a metric differs from `other`'s by more than the tolerance and two combined standard errors.

        The tolerance is a share of the other value ("5%") or a number in the metric's unit.
        """
        __tracebackhide__ = True
        if not names:
            raise TypeError("assert_close needs the names of the metrics to compare")
        allowed, base = _rule(Drift, {"max": tolerance}, {"max": "tolerance"}), values(other.data)
        changes = [Change(name, self._value(name), base.get(name, Value(None, None)), allowed) for name in names]
        if told := [change.told("the other") for change in changes if change.is_drift]:
            raise AssertionError("\n".join(told))

    def _value(self, name: str) -> Value:
        found = values(self.data)
        if name not in found:
            raise LookupError(f"there is no metric {name!r}; {nearest(name, found)}")
        return found[name]


def _rule(kind: type[R], given: Mapping[str, Any], names: Mapping[str, str] | None = None) -> R:
    """The rule; raises ValueError in words, with the argument's name where it is not the field's."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        field = field_errors(error, given)[0]
        name = field.pointer.strip("/")
        at = (names or {}).get(name, name)
    raise ValueError(f"{at}: {field.detail}" if at else field.detail)


def measure(model: Any, fields: Mapping[str, Any], *, root: Path, url: str | None, cache: Cache | None) -> Erf:
    """Measure, or recall; raises an ErfscopeError that says why it could not be done."""
    request = build(None, fields)
    with tempfile.TemporaryDirectory(prefix="erfscope-") as folder:
        subject = _subject(model, fields, root, Path(folder))
        question = Question(subject, request, None)
        outcome = ask([question], Means(url, cache))[question.digest]
    if isinstance(outcome, Problem):
        raise from_problem(outcome)
    return Erf(outcome.result, None, subject.label)


def _subject(model: Any, fields: Mapping[str, Any], root: Path, folder: Path) -> Subject:
    """A path stays a path; what is held in memory becomes a file for as long as it is measured."""
    if isinstance(model, str | PathLike) and not str(model).startswith(PRESET):
        check_one_shape(fields.get("input_shape"))
        return Subject(str(model), root / model)
    prepared = prepare(model, fields.get("input_shape"))
    if prepared.content is None:
        assert prepared.ref is not None  # it is one or the other
        return Subject(prepared.name, prepared.ref)
    file = folder / "model.onnx"
    for name, content in [(file.name, prepared.content), *((one.name, one) for one in prepared.data)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as out:
            out.writelines(content.chunks())
    return Subject(prepared.name, file)
