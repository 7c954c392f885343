"""Rules that a pull request loosens are told, in every report, as a changed baseline is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gate.conftest import Check, spec
from tests.gate.test_base import commit, git

from erfscope.gate.config import Gate, load
from erfscope.gate.loosened import loosened

Write = Callable[..., Path]
RULES = """
[defaults]
inputs = 8
[[check]]
name = "context"
model = ["models/a.json", "models/b.json"]
erf_size = { min = 4, max = 90 }
trf_size = { min = 5, message = "Boxes." }
mass_50_side = {}
drift = { max = "5%" }
"""


@pytest.fixture
def gate(write: Write, folder: Path) -> Callable[[str], Gate]:
    for name in "ab":
        write(f"models/{name}.json", spec(side=20))

    def loaded(text: str) -> Gate:
        write("erfscope.toml", text)
        return load(None, folder)

    return loaded


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("min = 4,", "min = 3,", "erf_size 4 … 90 px → 3 … 90 px"),
        ("min = 4, ", "", "erf_size 4 … 90 px → ≤ 90 px"),
        ("max = 90", "max = 91", "erf_size 4 … 90 px → 4 … 91 px"),
        ("{ min = 4, max = 90 }", "{}", "erf_size 4 … 90 px → no bound"),
        ("max = 90", 'max = 90, level = "warn"', "erf_size 4 … 90 px only warns now"),
        ("max = 90", 'max = 90, level = "off"', "erf_size 4 … 90 px is not judged any more"),
        ('trf_size = { min = 5, message = "Boxes." }\n', "", "trf_size ≥ 5 px is not judged any more"),
        ("mass_50_side = {}\n", "", "mass_50_side is not watched any more"),
        ('"5%"', '"6%"', "drift 5% → 6%"),
        ('"5%"', "2", "drift 5% → 2"),  # which of them is wider depends on the value
        ('"5%" }', '"5%", level = "warn" }', "drift only warns now"),
        ('drift = { max = "5%" }', 'drift = { max = "5%", level = "off" }', "drift of 5% is not judged any more"),
        ("inputs = 8", "inputs = 4", "inputs 8 → 4"),
        ("inputs = 8", "inputs = 8\nseed = 3", "seed 0 → 3"),
        ('name = "context"', 'name = "context"\nlayer = "first"', "layer auto → first"),
    ],
)
def test_what_is_weaker(gate: Callable[[str], Gate], old: str, new: str, words: str) -> None:
    assert old in RULES
    before, now = gate(RULES), gate(RULES.replace(old, new))
    (one,) = loosened(before, now)
    assert (one.check, one.models, one.words) == ("context", "models/a.json, models/b.json", (words,))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("min = 4,", "min = 5,"),
        ("max = 90", "max = 80"),
        ("inputs = 8", "inputs = 9"),
        ("inputs = 8", "inputs = 8\nverify = true"),
        ('"5%"', '"4%"'),
        ('"Boxes."', '"Anchors."'),
        ('name = "context"', 'name = "sizes"'),
        ('["models/a.json", "models/b.json"]', '"models/*.json"'),
        ("drift", "r90 = { min = 1 }\ndrift"),
    ],
)
def test_what_is_not_weaker(gate: Callable[[str], Gate], old: str, new: str) -> None:
    assert old in RULES
    before, now = gate(RULES), gate(RULES.replace(old, new))
    assert list(loosened(before, now)) == []


def test_a_check_that_was_split_is_not_weaker(gate: Callable[[str], Gate]) -> None:
    models = '["models/a.json", "models/b.json"]'
    head, check = RULES.split("[[check]]")
    parts = [f"[[check]]{check.replace(models, name)}" for name in ('"models/a.json"', '"models/b.json"')]
    before = gate(RULES)
    assert list(loosened(before, gate(head + "".join(parts)))) == []
    (one,) = loosened(before, gate(head + parts[0]))
    assert (one.models, one.words) == ("models/b.json", ("no check guards it any more",))


def test_a_pull_request_that_loosens_a_rule_is_told_so(
    check: Check, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("models/net.json", spec(side=20))
    rules = '[defaults]\ninputs = 4\n[[check]]\nname = "stem"\nmodel = "models/*"\ntrf_size = { min = 5 }\n'
    write("erfscope.toml", rules)
    git("init", "--quiet", "--initial-branch", "main")
    commit("rules")
    git("checkout", "--quiet", "-b", "topic")
    assert "loosens" not in check("--base", "main").words
    write("erfscope.toml", rules.replace("min = 5", "min = 3"))
    commit("less")
    reports = ("--junit", "a.xml", "--markdown", "a.md", "--report", "a.json", "--gitlab", "q.json")
    done = check("--base", "main", *reports)
    assert done.code == 0
    assert "This change loosens the rules of stem. Against main (" in done.words
    assert ": trf_size ≥ 5 px → ≥ 3 px. How to mend:" in done.words
    assert "1 passed, 1 warned" in done.words
    markdown = Path("a.md").read_text("utf-8")
    assert markdown.startswith("## ✓ Receptive fields are as asked; this change loosens rules")
    (warning,) = (one for one in json.loads(Path("a.json").read_text("utf-8"))["findings"] if one["rule"] == "rules")
    assert (warning["verdict"], warning["model"], warning["exit_code"]) == ("warn", "models/net.json", 0)
    assert (warning["file"], warning["line"]) == ("erfscope.toml", 3)
    for name in ("a.xml", "q.json"):
        assert "≥ 5 px → ≥ 3 px" in Path(name).read_text("utf-8")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    assert "loosens the rules of stem" in check().words


def test_rules_that_move_to_another_file_are_compared(check: Check, write: Write) -> None:
    write("models/net.json", spec(side=20))
    write("erfscope.toml", '[[check]]\nmodel = "models/*"\ninputs = 4\ntrf_size = { min = 5 }\n')
    git("init", "--quiet", "--initial-branch", "main")
    commit("rules")
    Path("erfscope.toml").unlink()
    write("pyproject.toml", '[[tool.erfscope.check]]\nmodel = "models/*"\ninputs = 4\ntrf_size = { min = 2 }\n')
    assert "trf_size ≥ 5 px → ≥ 2 px" in check("--base", "main").words
    write("other.toml", '[[check]]\nmodel = "models/*"\ninputs = 4\ntrf_size = { min = 4 }\n')
    assert "trf_size ≥ 5 px → ≥ 4 px" in check("--base", "main", "--config", "other.toml").words


def test_a_baseline_that_moves_to_another_file_is_compared(check: Check, write: Write) -> None:
    rules = '[[check]]\nmodel = "models/*"\ninputs = 4\ntrf_size = {}\ndrift = { max = "5%" }\n'
    write("models/net.json", spec(dilation=4, side=20))
    write("erfscope.toml", rules)
    git("init", "--quiet", "--initial-branch", "main")
    assert check("--update-baseline").code == 0
    commit("sizes")
    write("models/net.json", spec(dilation=1, side=20))
    write("erfscope.toml", f'baseline = "other.json"\n{rules}')
    assert check("--update-baseline").code == 0
    assert "Against main (" in check("--base", "main").words
    assert "trf_size 11 px → 5 px" in check("--base", "main").words


def test_a_base_with_a_wrong_configuration_is_told(check: Check, write: Write) -> None:
    write("models/net.json", spec(side=20))
    write("erfscope.toml", '[[check]]\nmodel = "models/*"\ntrf_sise = { min = 5 }\n')
    git("init", "--quiet", "--initial-branch", "main")
    commit("a typo")
    write("erfscope.toml", '[[check]]\nmodel = "models/*"\ninputs = 4\ntrf_size = { min = 5 }\n')
    done = check("--base", "main")
    assert done.code == 0
    assert "Whether this change loosens a rule cannot be known: the configuration of main (" in done.words
    assert "did you mean trf_size" in done.words


def test_a_check_whose_models_were_renamed_is_compared_by_its_name(gate: Callable[[str], Gate], write: Write) -> None:
    before = gate(RULES)
    for name in ("a", "b"):
        Path(f"models/{name}.json").unlink()
    write("models/c.json", spec(side=20))
    models = '["models/a.json", "models/b.json"]'
    (one,) = loosened(before, gate(RULES.replace(models, '"models/*"').replace("min = 4,", "min = 3,")))
    assert (one.models, one.words) == ("models/c.json", ("erf_size 4 … 90 px → 3 … 90 px",))
