"""The configuration as checks: what TOML says, validated, with every complaint naming file, line and key."""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from erfscope._errors import APIError
from erfscope._request import build
from erfscope.gate.discovery import ConfigurationError, Source, find, line_of, line_of_default, line_of_top
from erfscope.gate.drift import Drift, Levels, Limit
from erfscope.gate.keys import quoted, toml_key
from erfscope.gate.rules import CHECK_KEYS, REQUEST_KEYS, Bound, Level, impossible, metric_names, nearest
from erfscope_contract.hashing import sha256_of
from erfscope_contract.invalid import in_words
from erfscope_contract.problem import FieldError
from erfscope_contract.request import ErfRequest
from erfscope_contract.significance import ROUNDING

BASELINE = "erfscope-baseline.json"
VERIFY_METRIC = "verify_difference"
TOP_KEYS = ("check", "defaults", "baseline")
R = TypeVar("R", Bound, Drift)


@dataclass(frozen=True)
class Check:
    """One `[[check]]`: which models, measured how, and what must hold."""

    index: int
    name: str
    models: tuple[str, ...]
    request: ErfRequest
    images: Path | None
    bounds: Mapping[str, Bound]
    drift: Drift | None
    source: Source

    @property
    def is_watched(self) -> bool:
        """Whether drift is judged."""
        return self.drift is not None and self.drift.is_on

    def line(self, key: str | None = None) -> int:
        """Where it, or one of its keys, stands in the configuration file."""
        return line_of(self.source.text, self.source.header, self.index, key)

    def complaint(self, detail: str, key: str | None = None) -> ConfigurationError:
        """What is wrong with it, as an error that says where."""
        return ConfigurationError(self.source.file, f"{self.name}: {detail}", self.line(key))


@dataclass(frozen=True)
class Gate:
    """A whole configuration."""

    file: Path
    checks: tuple[Check, ...]
    baseline: Path

    @property
    def root(self) -> Path:
        """The folder that its paths are relative to."""
        return self.file.parent


def load(given: Path | None, start: Path) -> Gate:
    """The configuration in use; raises ConfigurationError with all that is wrong in it."""
    return gate_of(find(given, start))


def gate_of(source: Source) -> Gate:
    """A configuration as checks; raises ConfigurationError with all that is wrong in it."""
    errors = _Errors()
    table = source.table
    errors.extend(_unknown(source, table, TOP_KEYS, "the configuration", line_of_top))
    defaults: dict[str, Any] = {}
    with errors.collected():
        defaults = _table(source, table.get("defaults", {}), "defaults", line_of_top(source, "defaults"))
    errors.extend(_unknown(source, defaults, REQUEST_KEYS, "defaults", line_of_default))
    usable = {key: value for key, value in defaults.items() if key in REQUEST_KEYS}
    tables = table.get("check", [])
    if not isinstance(tables, list) or not tables:
        errors.append(ConfigurationError(source.file, f"has no checks; write at least one [[{source.header}]]"))
        tables = []
    checks = []
    for index, one in enumerate(tables):
        with errors.collected():
            checks.append(_check(source, index, one, usable))
    baseline = BASELINE
    with errors.collected():
        baseline = _baseline(source, table)
    errors.raise_all()
    return Gate(source.file, tuple(checks), source.root / baseline)


class _Errors(list[ConfigurationError]):
    """The errors found so far: a user can correct all of them at once."""

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Collect an error that is raised inside the `with`, and continue."""
        try:
            yield
        except ConfigurationError as error:
            self.extend(error.all)

    def raise_all(self) -> None:
        """Raise the collected errors as one, if there are any."""
        if self:
            raise ConfigurationError.of(self)


def _check(source: Source, index: int, given: Any, defaults: Mapping[str, Any]) -> Check:
    line = line_of(source.text, source.header, index)
    table = _table(source, given, source.header, line)
    name = table.get("name", f"check {index + 1}")
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(
            source.file, f"check {index + 1}: name must be text in quotes and not empty, not {name!r}", line
        )
    complain = _Complaints(source, index, name)
    errors = _Errors()
    bounds, drift = _rules(table, complain, errors)
    models: tuple[str, ...] = ()
    images = request = None
    with errors.collected():
        models = _models(table, complain)
    with errors.collected():
        images = _images(source, table.get("images"), complain)
    fields = {key: value for key, value in table.items() if key in REQUEST_KEYS}
    with errors.collected():
        request = _request({**defaults, **fields}, images, complain, inherited=defaults.keys() - fields.keys())
    errors.raise_all()
    assert request is not None, "or its errors were raised"
    _verifies_what_it_bounds(bounds, request, complain)
    return Check(index, name, models, request, images, bounds, drift, source)


def _rules(
    table: Mapping[str, Any], complain: "_Complaints", errors: _Errors
) -> tuple[Mapping[str, Bound], Drift | None]:
    """What a check asserts; its mistakes are added to `errors`."""
    before = len(errors)
    metrics = metric_names()
    known = {*CHECK_KEYS, *REQUEST_KEYS, *metrics}
    for key in sorted(table.keys() - known):
        errors.append(complain(key, f"{key!r} is neither a key of a check nor a metric; {nearest(key, known)}"))
    bounds, drift = {}, None
    for key in (key for key in table if key in metrics):
        with errors.collected():
            bounds[key] = _rule(Bound, key, table[key], complain)
            if why := impossible(key, bounds[key]):
                raise complain(key, why)
    if "drift" in table:
        with errors.collected():
            drift = _rule(Drift, "drift", table["drift"], complain)
            _watches(drift, bounds, complain)
    if len(errors) == before:  # else what it asserts is not known yet
        with errors.collected():
            _asserts_something(bounds, drift, complain)
    return bounds, drift


@dataclass(frozen=True)
class _Complaints:
    """Makes the errors of one check."""

    source: Source
    index: int
    name: str

    def __call__(self, key: str | None, detail: str) -> ConfigurationError:
        line = line_of(self.source.text, self.source.header, self.index, key)
        return ConfigurationError(self.source.file, f"{self.name}: {detail}", line)

    def of_default(self, key: str, detail: str) -> ConfigurationError:
        """About a key that the check has from `defaults`: reported there, and once for all checks."""
        return ConfigurationError(self.source.file, f"defaults: {detail}", line_of_default(self.source, key))


def _asserts_something(bounds: Mapping[str, Bound], drift: Drift | None, complain: _Complaints) -> None:
    if not bounds:
        raise complain(
            "drift" if drift else None, "bounds no metric; give at least one, for example erf_size = { min = 96 }"
        )
    for name, bound in bounds.items():
        if bound.is_bounded or bound.level is Level.OFF:
            continue
        if name in ROUNDING:
            raise complain(
                name, f"{name} is rounding, which is not judged by drift; give max, such as {{ max = 1e-5 }}"
            )
        if drift is None:
            raise complain(name, f"{name} has neither min nor max, and the check has no drift; it asserts nothing")


def _verifies_what_it_bounds(bounds: Mapping[str, Bound], request: ErfRequest, complain: _Complaints) -> None:
    bound = bounds.get(VERIFY_METRIC)
    if bound is not None and bound.level is not Level.OFF and not request.verify:
        raise complain(
            VERIFY_METRIC,
            f"{VERIFY_METRIC} is computed only with verify = true; add it to this check or to the defaults",
        )


def _models(table: Mapping[str, Any], complain: _Complaints) -> tuple[str, ...]:
    given = table.get("model")
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not listed or not all(isinstance(one, str) and one for one in listed):
        found = "is missing" if given is None else f"is {given!r}"
        raise complain(
            "model", f"model {found}; give a path, a glob such as models/*.onnx, preset:NAME, or a list of these"
        )
    return tuple(listed)


def _rule(kind: type[R], key: str, given: Any, complain: _Complaints) -> R:
    if not isinstance(given, dict):
        example = '{ max = "5%" }' if kind is Drift else "{ min = 96 }"
        raise complain(key, f"{key} must be a table such as {key} = {example}, not {given!r}")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        # A misspelt key explains a missing one, so it is told first.
        item: Any = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
        place = item["loc"]
        if item["type"] == "extra_forbidden":
            known = (Levels if "level" in place[:-1] else Limit if "metrics" in place[:-1] else kind).model_fields
            raise complain(key, f"there is no {_path(key, place)}; {nearest(str(place[-1]), known)}") from None
        raise complain(key, f"{_path(key, place[:1] if 'metrics' not in place else place)}: {in_words(item)}") from None


def _path(key: str, place: Iterable[str | int]) -> str:
    return ".".join((key, *map(str, place)))


def _watches(drift: Drift, bounds: Container[str], complain: _Complaints) -> None:
    """Limits of single metrics are about metrics that the check watches."""
    for name in drift.metrics:
        if name not in metric_names():
            raise complain("drift", f"drift.metrics: there is no metric {name!r}; {nearest(name, metric_names())}")
        if name not in bounds:
            raise complain("drift", f"drift.metrics.{name}: the check does not watch {name}; add {name} = {{}}")


def _request(
    fields: Mapping[str, Any], images: Path | None, complain: _Complaints, inherited: Container[str]
) -> ErfRequest:
    """The request of a check; keys that are `inherited` come from `defaults`."""
    try:
        request = build(None, fields, sha256_of(images) if images else None)
    except APIError as error:
        wrong = error.problem.errors or [FieldError(pointer="", detail=error.problem.detail)]
        details = [(toml_key(one.pointer, fields), one.detail) for one in wrong]
    except (TypeError, ValueError) as error:  # a section that is no table
        raise complain(None, f"a field of the request has the wrong form: {error}") from None
    else:
        details = [
            (key, f"is the text {text!r}; write a number, without quotes") for key, text in quoted(fields, request)
        ]
    errors = []
    for key, detail in details:
        top = re.split(r"[.\[]", key)[0]
        complaint = complain.of_default if top in inherited else complain
        errors.append(complaint(top, f"{key}: {detail}".removeprefix(": ")))
    if errors:
        raise ConfigurationError.of(errors)
    return request


def _images(source: Source, given: Any, complain: _Complaints) -> Path | None:
    if given is None:
        return None
    path = source.root / given if isinstance(given, str) else None
    if path is None or not path.is_file():
        raise complain(
            "images", f"images {given!r} is no file; give a zip, PNG, JPEG or npy, relative to the configuration"
        )
    return path


def _baseline(source: Source, table: Mapping[str, Any]) -> str:
    given = table.get("baseline", BASELINE)
    if not isinstance(given, str) or not given.endswith(".json"):
        raise ConfigurationError(source.file, f"baseline {given!r} must be the path of a .json file")
    return given


def _table(source: Source, given: Any, name: str, line: int) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ConfigurationError(source.file, f"{name} must be a table, not {given!r}", line)
    return given


def _unknown(
    source: Source, table: Mapping[str, Any], known: Iterable[str], where: str, line: Callable[[Source, str], int]
) -> list[ConfigurationError]:
    return [
        ConfigurationError(source.file, f"{where} has no key {key!r}; {nearest(key, known)}", line(source, key))
        for key in table
        if key not in known
    ]
