"""Reading the configuration: where it is found, and that every mistake names file, line, key and what would do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gate.conftest import Check, spec

from erfscope.gate.config import load
from erfscope.gate.discovery import ConfigurationError, line_of
from erfscope.gate.rules import Level

Write = Callable[..., Path]
CHECK = '[[check]]\nmodel = "a.json"\n'


def complaint(folder: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(None, folder)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (CHECK + "erf_sise = { min = 9 }", 3, "neither a key of a check nor a metric; did you mean erf_size"),
        (CHECK + "layr = 'x'\nerf_size = {min = 9}", 3, "did you mean layer"),
        (CHECK + "erf_size = { mn = 9 }", 3, "there is no erf_size.mn; did you mean min?"),
        (CHECK + "erf_size = 9", 3, "erf_size must be a table such as erf_size = { min = 96 }, not 9"),
        (CHECK + "erf_size = { min = 9, max = 8 }", 3, "min 9 is above max 8"),
        (CHECK + "erf_size = { min = '9' }", 3, "erf_size.min: must be a number"),
        (CHECK + "erf_size = { min = nan }", 3, "erf_size.min: must be a finite number"),
        (CHECK + "erf_size = { min = true }", 3, "erf_size.min: must be a number"),
        (CHECK + "erf_size = { min = 9, level = 'fatal' }", 3, "'error', 'warn' or 'off'"),
        (CHECK + "erf_size = {}", 3, "erf_size has neither min nor max"),
        (CHECK, 1, "bounds no metric"),
        (CHECK + "drift = { max = '5%' }", 3, "bounds no metric"),
        (CHECK + "erf_size = {}\ndrift = { max = '5' }", 4, 'give a share such as "5%"'),
        (CHECK + "erf_size = {}\ndrift = { max = -1 }", 4, "not below 0"),
        (CHECK + "erf_size = {}\ndrift = { max = 'inf%' }", 4, 'give a share such as "5%"'),
        (CHECK + "erf_size = {}\ndrift = '5%'", 4, 'drift must be a table such as drift = { max = "5%" }'),
        (CHECK + "erf_size = {}\ndrift = { min = '5%' }", 4, "there is no drift.min"),
        (CHECK + "erf_size = {}\ndrift = { max = '5%', direction = 'dwn' }", 4, "drift.direction"),
        (CHECK + "erf_size = {}\ndrift = { max = '5%', level = { dwn = 'warn' } }", 4, "no drift.level.dwn; did you"),
        (CHECK + "erf_size = {}\ndrift = { max = '5%', direction = 'up', level = { up = 'warn' } }", 4, "leave one of"),
        (CHECK + "erf_size = {}\ndrift = { max = '5%', metrics = { r50 = {} } }", 4, "add r50 = {}"),
        (CHECK + "erf_size = {}\ndrift = { max = '5%', metrics = { erf_sze = {} } }", 4, "did you mean erf_size"),
        (CHECK + "erf_size = {}\ndrift = { max = '5%', metrics = { erf_size = { mx = 1 } } }", 4, "did you mean max"),
        (CHECK + "erf_size = {}\ndrift = { max = '5%', metrics = { erf_size = { max = -1 } } }", 4, "not below 0"),
        (CHECK + "erf_size = {min = 9}\ninputs = 0", 4, "inputs: must be"),
        (CHECK + "erf_size = {min = 9}\nstatistic = 'mean'", 4, "statistic: must be"),
        (CHECK + "erf_size = {min = 9}\naverage = 5", 4, "average: must be"),
        (CHECK + "erf_size = {min = 9}\naverage = 5\ninputs = 3", 1, "a field of the request has the wrong form"),
        (CHECK + "erf_size = {min = 9}\ninputs = '16'", 4, "inputs: is the text '16'; write a number, without quotes"),
        (CHECK + "erf_size = {min = 9}\nunit = ['7', 7]", 4, "unit[0]: is the text '7'"),
        (CHECK + "erf_size = {min = 9}\naverage.inputs = '3'", 4, "average.inputs: is the text '3'"),
        (CHECK + "erf_size = {min = 9}\nunit = 'centre'", 4, "check 1: unit: must be 'center'"),
        (CHECK + "erf_size = {min = 9}\nunit = { grid = [3, 'x'] }", 4, "unit.grid[1]: must be an integer"),
        (CHECK + "erf_size = {min = 9}\nmean = [0.5]", 4, "mean: mean and std normalise images"),
        ("[defaults]\ninput_shape = { a = ['3', 9, 9] }\n" + CHECK + "erf_size = {min = 9}", 2, "input_shape.a[0]: is"),
        (CHECK + "erf_size = {min = 9}\nimages = 'none.zip'", 4, "images 'none.zip' is no file"),
        (CHECK + "erf_size = {min = 9}\nname = 5", 1, "name must be text"),
        ("[[check]]\nerf_size = {min = 9}", 1, "model is missing"),
        ("[[check]]\nmodel = []\nerf_size = {min = 9}", 2, "model is []"),
        ("[[check]]\nmodel = 5\nerf_size = {min = 9}", 2, "model is 5"),
        ("x = 1\n" + CHECK, 1, "the configuration has no key 'x'; known are: baseline, check, defaults"),
        ("[defaults]\ninput = {}\nseeds = 1\n" + CHECK, 3, "defaults has no key 'seeds'; did you mean seed"),
        ("defaults = 1\n" + CHECK, 1, "defaults must be a table"),
        ("check = 1", 1, "has no checks"),
        ("check = [1]", 1, "check must be a table"),
        ("", 1, "has no checks"),
        ("baseline = 'b.txt'\n" + CHECK + "erf_size = {min = 9}", 1, "must be the path of a .json file"),
        ("[[check]]\nmodel = ", 2, "is not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_says_where_and_what_would_do(folder: Path, write: Write, text: str, line: int, said: str) -> None:
    write("erfscope.toml", text)
    error = complaint(folder)
    assert said in error.detail
    assert (Path(error.file), error.line) == (folder / "erfscope.toml", line)


DEFAULTS = "[defaults]\nlayer = 'x'\ninputs = 0\n"
MANY = (
    "basline = 'b.json'\n"
    + "[[check]]\nmodel = 5\nlayr = 'x'\nerf_size = { mn = 9 }\nseed = 'one'\n"
    + "[[check]]\nmodel = 'b.json'\ntrf_size = { max = 'x' }\naverage = { inputs = 0 }\n"
    + "[defaults]\nunits = 3\n[defaults.input]\nsource = 'music'\n"
)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("erfscope.toml", DEFAULTS + CHECK * 2, [
            (3, "defaults: inputs: "), (4, "check 1: bounds no metric"), (6, "check 2: bounds no metric")]),
        ("erfscope.toml", "[defaults]\naverage = { inputs = 0 }\n" + CHECK + "erf_size = {min = 9}\n", [
            (2, "defaults: average.inputs: ")]),
        ("erfscope.toml", "defaults = { inputs = 0 }\n" + CHECK + "erf_size = {min = 9}\n", [
            (1, "defaults: inputs: ")]),
        ("pyproject.toml", "[tool.x]\ninputs = 1\n[[tool.erfscope.check]]\nmodel = 'a.json'\nerf_size = {min = 9}\n"
         "[tool.erfscope.defaults]\nseed = 1\ninputs = 0\n[tool.y]\n", [(8, "defaults: inputs: ")]),
        ("erfscope.toml", MANY, [
            (1, "did you mean baseline"), (3, "model is 5"), (4, "did you mean layer"), (5, "did you mean min"),
            (6, "check 1: seed: "), (9, "trf_size.max"), (10, "check 2: average.inputs: "),
            (12, "defaults has no key 'units'"), (13, "defaults: input.source: ")]),
    ],
)  # fmt: skip
def test_all_mistakes_are_told_at_once_each_where_it_stands(
    check: Check, folder: Path, write: Write, file: str, text: str, expected: list[tuple[int, str]]
) -> None:
    write(file, text)
    errors = complaint(folder).all
    assert [one.line for one in errors] == [line for line, _ in expected]
    for one, (_, said) in zip(errors, expected, strict=True):
        assert said in one.detail
    done = check()
    assert done.code == 2
    assert all(f"{file}:{line}" in done.out.replace("\n", "") for line, _ in expected)


def test_what_is_not_utf8(folder: Path, write: Write) -> None:
    write("erfscope.toml", b"\xff\xfe")
    assert "cannot be read" in complaint(folder).detail


def test_the_nearest_configuration_upward_is_taken(folder: Path, write: Write) -> None:
    write("pyproject.toml", "[tool.ruff]\nline-length = 100\n")
    write("sub/deep/x.txt", "")
    write("erfscope.toml", CHECK + "erf_size = { min = 1 }")
    gate = load(None, folder / "sub" / "deep")
    assert gate.file == folder / "erfscope.toml"
    write("sub/pyproject.toml", '[[tool.erfscope.check]]\nmodel = "b.json"\ntrf_size = { max = 3 }')
    nearer = load(None, folder / "sub" / "deep")
    assert (nearer.file, nearer.root) == (folder / "sub" / "pyproject.toml", folder / "sub")
    assert nearer.checks[0].models == ("b.json",)
    assert nearer.checks[0].line("trf_size") == 3
    assert load(folder / "erfscope.toml", folder / "sub").file == folder / "erfscope.toml"


def test_no_configuration_shows_how_to_write_one(check: Check, folder: Path, tmp_path: Path) -> None:
    done = check()
    assert done.code == 2
    assert "Write an erfscope.toml, for example" in done.out
    assert "[[check]]" in done.out
    assert "--config names no file" in check("--config", tmp_path / "none.toml").out


def test_defaults_lie_under_every_check(folder: Path, write: Write) -> None:
    write(
        "erfscope.toml",
        "[defaults]\ninputs = 8\nseed = 4\n"
        + CHECK
        + "erf_size = { min = 1, level = 'warn', message = 'm' }\n"
        + CHECK
        + "name = 'second'\nseed = 5\nunit = [1, 2]\naverage = { statistic = 'rms' }\ntrf_size = { max = 3 }\n",
    )
    first, second = load(None, folder).checks
    assert (first.name, first.request.average.inputs, first.request.average.seed) == ("check 1", 8, 4)
    assert (first.bounds["erf_size"].level, first.bounds["erf_size"].message) == (Level.WARN, "m")
    assert (second.name, second.request.average.inputs, second.request.average.seed) == ("second", 8, 5)
    assert (second.request.target.unit, second.request.average.statistic) == ([1, 2], "rms")


def test_images_are_part_of_the_request(folder: Path, write: Write) -> None:
    write("pictures.zip", b"not read here")
    write("erfscope.toml", CHECK + "images = 'pictures.zip'\nerf_size = { min = 1 }")
    (one,) = load(None, folder).checks
    assert one.images == folder / "pictures.zip"
    assert one.request.input.source == "images"


@pytest.mark.parametrize(
    ("text", "index", "key", "line"),
    [
        ("[[check]]\na = 1\n\n[[check]]\nb = 2\n", 1, "b", 5),
        ("[[check]]\na = 1\n\n[[check]]\nb = 2\n", 1, "a", 4),
        ("[[check]]\n[check.a]\nmin = 1\n", 0, "a", 2),
        ("[[ check ]]\na.min = 1\n", 0, "a", 2),
        ("[[check]]\n'a' = {min = 1}\n", 0, "a", 2),
        ("x = 1\ncheck = [{a = 1}]\n", 0, "a", 2),
        ("nothing", 0, None, 1),
    ],
)
def test_lines(text: str, index: int, key: str | None, line: int) -> None:
    assert line_of(text, "check", index, key) == line


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("*.onnx", "matches no .onnx or .json file"),
        ("none.onnx", "does not exist"),
        ("sub", "is a directory"),
        ("../*.json", "matches no .onnx or .json file"),
        ("/nowhere/*.json", "matches no .onnx or .json file"),
        ("***/x", "** stands alone"),
        ("**x/*.json", "** stands alone"),
        ("a" * 300, "too long"),
        ("\\u0000*", "matches no"),
    ],
)
def test_models_that_are_not_there(check: Check, write: Write, model: str, said: str) -> None:
    write("sub/a.json", spec())
    write("erfscope.toml", f'[[check]]\nmodel = "{model}"\nerf_size = {{ min = 1 }}')
    done = check()
    assert done.code == 2
    assert said in done.out
    assert "erfscope.toml:2" in done.out


@pytest.mark.parametrize("start", ["..", "absolute"])
def test_patterns_reach_beyond_the_configuration(check: Check, write: Write, folder: Path, start: str) -> None:
    write("../near/a.json", spec())
    write("../near/.hidden/b.json", spec())
    named = str(folder.parent) if start == "absolute" else start
    write("erfscope.toml", f'[[check]]\nmodel = "{named}/ne*/**/*.json"\ntrf_size = {{ min = 1 }}')
    done = check("--no-cache", "--junit", "j.xml")
    assert done.code == 0, done.out
    assert f"{named}/near/a.json" in (folder / "j.xml").read_text()
    assert "1 passed" in done.words


def test_brackets_without_end(check: Check, write: Write) -> None:
    write("erfscope.toml", "a = " + "[" * 5000)
    done = check()
    assert done.code == 2
    assert "brackets within brackets" in done.out
