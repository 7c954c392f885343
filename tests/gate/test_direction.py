"""Drift that counts one way: a field that shrinks fails, one that grows warns or passes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gate.conftest import Check, spec

from erfscope.gate.drift import Direction, Drift
from erfscope.gate.rules import Level

Write = Callable[..., Path]
RECIPE = 'drift = { max = "5%", level = { down = "error", up = "warn" } }'


def config(drift: str) -> str:
    return f'[[check]]\nname = "c"\nmodel = "net.json"\ninputs = 4\ntrf_size = {{}}\n{drift}\n'


@pytest.fixture
def after(check: Check, write: Write) -> Callable[[str, int], tuple[int, str]]:
    """Exit code and output once the second dilation is another than 4, by a rule."""

    def changed(drift: str, dilation: int) -> tuple[int, str]:
        write("net.json", spec(dilation=4))
        write("erfscope.toml", config(drift))
        assert check("--update-baseline").code == 0
        write("net.json", spec(dilation=dilation))
        done = check("--markdown", "a.md")
        return done.code, done.words

    return changed


@pytest.mark.parametrize(
    ("drift", "shrinks", "grows"),
    [
        ('drift = { max = "5%" }', "✗ fail", "✗ fail"),
        ('drift = { max = "5%", direction = "both" }', "✗ fail", "✗ fail"),
        ('drift = { max = "5%", direction = "down" }', "✗ fail", "✓ pass"),
        ('drift = { max = "5%", direction = "up" }', "✓ pass", "✗ fail"),
        ('drift = { max = "5%", direction = "down", level = "warn" }', "! warn", "✓ pass"),
        (RECIPE, "✗ fail", "! warn"),
        ('drift = { max = "5%", level = { up = "off" } }', "✗ fail", "✓ pass"),
        ('drift = { max = "5%", metrics = { trf_size = { max = "90%" } } }', "✓ pass", "✓ pass"),
        ('drift = { max = "90%", metrics = { trf_size = { max = 1, direction = "down" } } }', "✗ fail", "✓ pass"),
    ],
)
def test_a_direction(after: Callable[[str, int], tuple[int, str]], drift: str, shrinks: str, grows: str) -> None:
    for dilation, verdict in ((1, shrinks), (6, grows)):
        code, words = after(drift, dilation)
        assert verdict in words
        assert code == ("fail" in verdict)


def test_what_a_direction_accepts_is_noted(after: Callable[[str, int], tuple[int, str]]) -> None:
    _, words = after('drift = { max = "5%", direction = "down" }', 6)
    assert "trf_size differs by +4 px (+36.4%) from the baseline: 11 → 15 px, the limit is 5% less;" in words
    assert "The rule accepts a change that way; to hold the new value, run `erfscope check --update" in words
    assert "11 px − 5%" in words


def test_headlines_have_sign_and_size(after: Callable[[str, int], tuple[int, str]]) -> None:
    after(RECIPE, 1)
    assert (
        Path("a.md").read_text("utf-8").startswith("## ✗ net.json: TRF 11 → 5 px (-54.5%): dilation of second 4 → 1\n")
    )
    _, words = after(RECIPE, 6)
    assert (
        Path("a.md").read_text("utf-8").startswith("## ! net.json: TRF 11 → 15 px (+36.4%): dilation of second 4 → 6\n")
    )
    assert "How to mend: The field grew. Where it is meant: `erfscope check --update-baseline`" in words


def test_limits_of_a_metric_leave_out_what_the_drift_has() -> None:
    drift = Drift.model_validate({"max": "5%", "direction": "down", "metrics": {"r50": {"max": 2, "level": "warn"}}})
    assert (str(drift.of("r50")), str(drift.of("r90"))) == ("2", "5%")
    assert drift.of("r50").level_of(Direction.DOWN) is Level.WARN
    assert drift.of("r50").level_of(Direction.UP) is Level.OFF
    assert drift.of("r90").level_of(Direction.DOWN) is Level.ERROR
    both = Drift.model_validate({"max": 1, "direction": "down", "metrics": {"r50": {"level": {"up": "warn"}}}})
    assert both.of("r50").level_of(Direction.UP) is Level.WARN


def test_a_drift_whose_every_direction_is_off_watches_nothing() -> None:
    assert not Drift.model_validate({"max": 1, "direction": "down", "level": "off"}).is_on
    assert Drift.model_validate({"max": 1, "level": "off", "metrics": {"r50": {"level": "warn"}}}).is_on
