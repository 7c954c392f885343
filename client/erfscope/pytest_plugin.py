"""The pytest plugin: a fixture `erf` that measures, and a marker for the tests that use it. Loads no torch."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # a plugin is loaded with every run of pytest, wanted or not
    from erfscope.gate.expect import Erf

MARKER = "erf"
Measure = Callable[..., "Erf"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--erf-url` and `--erf-no-cache`."""
    group = parser.getgroup("erfscope", "receptive fields")
    group.addoption(
        "--erf-url", metavar="URL", default=None, help="a service that measures; default: ERFSCOPE_URL, or this process"
    )
    group.addoption("--erf-no-cache", action="store_true", help="measure anew, and keep nothing")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(**fields): measures receptive fields; fields such as layer and inputs are the defaults of `erf`. "
        f"Every test that takes the fixture `erf` has it, so `-m 'not {MARKER}'` leaves them out.",
    )


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes the fixture."""
    for item in items:
        if "erf" in getattr(item, "fixturenames", ()):
            item.add_marker(MARKER)


@pytest.fixture
def erf(request: pytest.FixtureRequest) -> Measure:
    """`erf("model.onnx", layer="/layer4/Add", inputs=64)` measures and answers an `Erf`.

    A model is a path (relative to pytest's root), a spec, `preset:NAME`, ONNX bytes or a torch.nn.Module (with
    `input_shape`); the fields are those of `Client.run`. An unchanged model is answered from the gate's cache.
    """
    from erfscope.gate.cache import Cache, default_folder
    from erfscope.gate.expect import measure

    url: str | None = request.config.getoption("--erf-url") or os.environ.get("ERFSCOPE_URL") or None
    cache = None if request.config.getoption("--erf-no-cache") else Cache(default_folder(os.environ))
    defaults = _defaults(request.node)
    root: Path = request.config.rootpath

    def measured(model: Any, **fields: Any) -> "Erf":
        return measure(model, {**defaults, **fields}, root=root, url=url, cache=cache)

    return measured


def _defaults(node: pytest.Item) -> Mapping[str, Any]:
    """Of all markers on the test, its class and its module; the nearest has the last word."""
    fields: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers(MARKER))):
        if marker.args:
            raise pytest.UsageError(f"@pytest.mark.erf takes fields by name, as in erf(inputs=8); not {marker.args!r}")
        fields |= marker.kwargs
    return fields
