"""The forms of a report: valid by their schemas, and safe against names that a stranger's model has."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from rich.console import Console
from tests.gate.conftest import Check, spec

from erfscope.gate.findings import ASSERTION, CONFIGURATION, SERVICE, Finding, Report, Rule, Verdict
from erfscope.gate.reports import markdown, terminal
from erfscope.gate.reports.files import as_json
from erfscope.gate.reports.forges import github, gitlab, junit

Write = Callable[..., Path]
SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).parent / "junit.xsd"))
HOSTILE = "a\x1b[31m|b\x00]]><x>\n::error::`c`![i](data:image/png;base64,AA)\ud800\u2028"
CODES = {Verdict.FAIL: ASSERTION, Verdict.BROKEN: SERVICE}


def finding(verdict: Verdict = Verdict.FAIL, **changes: Any) -> Finding:
    fields: dict[str, Any] = {
        "check": "check 1",
        "model": "models/a.onnx",
        "rule": Rule.BOUND,
        "metric": "erf_size",
        "verdict": verdict,
        "expected": "≥ 96 px",
        "found": 43.3,
        "stderr": 0.3,
        "file": "/repository/erfscope.toml",
        "line": 3,
        "layer": "/layer4/Add",
        "unit": "px",
        "exit_code": CODES.get(verdict, 0),
    }
    return Finding(**fields | changes)


def report(*findings: Finding) -> Report:
    return Report(findings, "/repository/erfscope.toml", measured=1)


def hostile() -> Report:
    words = {
        "model": HOSTILE,
        "layer": HOSTILE,
        "check": HOSTILE,
        "message": HOSTILE,
        "mend": HOSTILE,
        "file": HOSTILE,
        "change": HOSTILE,
    }
    return report(*(finding(verdict, **words) for verdict in Verdict))


def cell_count(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


@pytest.mark.parametrize("made", [report(), report(finding(), finding(Verdict.PASS), finding(Verdict.WARN)), hostile()])
def test_junit_is_valid(made: Report) -> None:
    tree = etree.fromstring(junit(made))
    SCHEMA.assertValid(tree)
    assert int(tree.get("tests")) == len(made.findings) == len(tree.findall(".//testcase"))
    assert int(tree.get("failures")) == len(tree.findall(".//failure"))
    assert int(tree.get("errors")) == len(tree.findall(".//error"))


def test_the_schema_refuses_what_is_not_junit() -> None:
    assert not SCHEMA.validate(etree.fromstring(b'<testsuites name="n" tests="1"/>'))


def test_mistakes_of_a_configuration_are_told_apart_and_placed(check: Check, write: Write) -> None:
    """Forges take cases of one name for one case, and issues of one fingerprint for one issue."""
    mistakes = 'erf_sise = {}\nlayr = "x"\naverage = { x = 1, y = 2 }\n'
    write("erfscope.toml", f'[[check]]\nmodel = "a.json"\n{mistakes}')
    assert check("--junit", "j.xml", "--markdown", "m.md", "--gitlab", "g.json").code == 2
    places = [f"(erfscope.toml:{line})" for line in (3, 4, 5, 5)]
    tree = etree.parse("j.xml")
    SCHEMA.assertValid(tree)
    names = [one.get("name") for one in tree.findall(".//testcase")]
    assert names == [f"configuration {one}" for one in places[:3]] + [f"configuration {places[3]} #2"]
    assert [(one.get("message") or "")[-len(places[0]) :] for one in tree.findall(".//error")] == places
    lines = [line for line in Path("m.md").read_text("utf-8").splitlines() if line.startswith("- **")]
    assert [line[-len(places[0]) :] for line in lines] == places
    issues = json.loads(Path("g.json").read_text("utf-8"))
    assert len({one["fingerprint"] for one in issues}) == len(places)


def test_cases_that_would_have_one_name_are_told_apart_by_their_lines() -> None:
    rows = [finding(line=3), finding(line=9), finding(metric="r50")]
    names = [one.get("name") for one in etree.fromstring(junit(report(*rows))).findall(".//testcase")]
    at = "at /layer4/Add"
    assert names == [f"erf_size {at} (erfscope.toml:3)", f"erf_size {at} (erfscope.toml:9)", f"r50 {at}"]


@pytest.mark.parametrize("name", ["passing", "failing", "broken"])
def test_junit_of_the_miniatures(check: Check, miniature: Callable[[str], Path], name: str) -> None:
    miniature(name)
    done = check("--junit", "out/junit.xml")
    tree = etree.parse("out/junit.xml")
    SCHEMA.assertValid(tree)
    troubles = tree.findall(".//failure") + tree.findall(".//error")
    assert bool(troubles) == (done.code != 0)
    assert all(one.get("message") for one in troubles)


def test_markdown_is_a_plain_table() -> None:
    text = markdown.render(report(finding(message="Anchors need it."), finding(Verdict.PASS), finding(Verdict.WARN)))
    assert text.startswith("## ✗ models/a.onnx: erf\\_size 43.30 ± 0.30 px, expected ≥ 96 px\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [row[2] for row in rows[2:]] == ["✗", "!", "✓"]
    assert {cell_count(row) for row in rows} == {7}
    assert "Anchors need it." in text
    assert markdown.render(report(finding(Verdict.PASS))).startswith("## ✓ Receptive fields are as asked")


def test_markdown_of_a_hostile_model_stays_a_table() -> None:
    text = markdown.render(hostile())
    assert {cell_count(line) for line in text.splitlines() if line.startswith("| ")} == {7}
    text = text.replace("`c`", "")  # plain words may be code
    assert not re.search(r"(?<!\\)[<`\[]", text)
    assert "![" not in text
    assert "\n::" not in text


def test_markdown_keeps_code_in_our_own_sentences() -> None:
    text = markdown.render(report(finding(mend="Give more `inputs` to a|b; run `erfscope check --update-baseline`.")))
    assert "How to mend: Give more `inputs` to a\\|b; run `erfscope check --update-baseline`." in text


def test_backticks_are_paired_as_a_forge_pairs_them() -> None:
    """Of a span that is escaped both backticks are, or the text up to the next span would be code."""
    mend = "Take `fetch-depth: 2` of actions/checkout, or `a|b`; then `git fetch origin main`."
    text = markdown.render(report(finding(mend=mend)))
    assert "Take `fetch-depth: 2` of actions/checkout, or \\`a\\|b\\`; then `git fetch origin main`." in text


def test_a_comment_links_the_run_of_github() -> None:
    run = {"GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "7"}
    assert "[The run](https://git.example/o/r/actions/runs/7) has the log" in markdown.render(report(finding()), run)
    assert "The run" not in markdown.render(report(finding()), {**run, "GITHUB_RUN_ID": ""})


def test_what_changed_stands_once_above_what_broke() -> None:
    text = markdown.render(report(*(finding(metric=one, change="dilation of c 4 → 1.") for one in ("r50", "r90"))))
    assert text.startswith("## ✗ models/a.onnx: r50 43.30 ± 0.30 px, expected ≥ 96 px: dilation of c 4 → 1\n")
    assert text.count("dilation of c 4 → 1") == 1
    long = f"dilation of {'c' * 100} 4 → 1."
    text = markdown.render(report(*(finding(metric=one, change=long) for one in ("r50", "r90"))))
    assert text.count(long) == 1
    assert text.index(f"**Changed in models/a.onnx**: {long}") < text.index("- **models/a.onnx")


def test_the_terminal_shows_a_hostile_model_as_text() -> None:
    out = Console(width=200, record=True, file=io.StringIO())
    out.print(terminal.render(hostile()))
    text = out.export_text()
    assert "\x1b" not in text
    assert "\n::" not in text
    assert "[i](data:" in text  # brackets are not taken for markup


def test_a_long_summary_is_cut() -> None:
    text = markdown.render(report(*(finding(model=f"m{n}") for n in range(1000))))
    assert "… and 700 more rules" in text
    assert len(text.encode()) < 1 << 20


def test_github_annotations() -> None:
    environment = {"GITHUB_WORKSPACE": "/repository"}
    others = [finding(model=f"m{n}") for n in range(20)]
    made = report(finding(Verdict.WARN, model="w"), finding(mend="100 % sure,\nnow: do it"), *others)
    lines = github(made, environment)
    assert lines[0].startswith("::error file=erfscope.toml,line=3,title=erfscope%3A models/a.onnx erf_size::")
    assert lines[0].endswith("100 %25 sure, now: do it")
    assert [line.split()[0] for line in lines] == ["::error"] * 10 + ["::warning"]
    assert all(line.startswith("::") and "\n" not in line for line in github(hostile(), environment))
    assert github(report(finding(Verdict.PASS)), environment) == []


def test_gitlab_code_quality() -> None:
    made = report(
        finding(), finding(Verdict.PASS), finding(Verdict.WARN, metric="r50"), finding(Verdict.BROKEN, metric="")
    )
    issues = json.loads(gitlab(made, {"CI_PROJECT_DIR": "/repository"}))
    assert [issue["severity"] for issue in issues] == ["critical", "major", "minor"]
    assert len({issue["fingerprint"] for issue in issues}) == 3
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["location"] == {"path": "erfscope.toml", "lines": {"begin": 3}}
    again = json.loads(gitlab(report(finding(found=1.0)), {"CI_PROJECT_DIR": "/repository"}))
    assert again[0]["fingerprint"] == issues[1]["fingerprint"]  # the same trouble, another number


def test_json_tells_everything() -> None:
    body = json.loads(as_json(report(finding(), finding(Verdict.PASS))))
    assert (body["result"], body["exit_code"], body["counts"]) == ("assertion", 1, {"fail": 1, "pass": 1})
    assert body["findings"][0]["found"] == 43.3
    assert json.loads(as_json(hostile()).encode("utf-8", "backslashreplace"))


def test_files_name_paths_from_the_folder_of_the_configuration() -> None:
    made = report(finding(), finding(file="/repository/sub/erfscope-baseline.json"), finding(file="/else/b.json"))
    body = json.loads(as_json(replace(made, baseline=Path("/repository/b.json"))))
    assert (body["config"], body["baseline"]) == ("erfscope.toml", "b.json")
    paths = ["erfscope.toml", "sub/erfscope-baseline.json", "/else/b.json"]
    assert [one["file"] for one in body["findings"]] == paths
    told = etree.fromstring(junit(made)).findall(".//failure")
    assert [(one.text or "").rpartition(" ")[2] for one in told] == [f"({path}:3)" for path in paths]


@pytest.mark.parametrize(
    ("codes", "code", "result"),
    [
        ([0, 0], 0, "pass"),
        ([0, ASSERTION], 1, "assertion"),
        ([ASSERTION, SERVICE], 3, "service"),
        ([SERVICE, CONFIGURATION, ASSERTION], 2, "configuration"),
        ([], 0, "pass"),
    ],
)
def test_exit_codes(codes: list[int], code: int, result: str) -> None:
    made = report(*(finding(exit_code=one) for one in codes))
    assert (made.exit_code, made.result) == (code, result)


def test_where_github_runs_it(check: Check, miniature: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = miniature("failing")
    summary = folder / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = check("--markdown", "own.md")
    assert done.code == 1
    assert (
        "::error file=pyproject.toml,line=11,title=erfscope%3A models/context.json erf_size and its drift::" in done.out
    )
    told = summary.read_text("utf-8")
    assert told == "before\n" + Path("own.md").read_text("utf-8") + "\n"
    assert "data:" not in told
    assert "::" not in check("--json").out


def test_all_files_at_once(check: Check, write: Write) -> None:
    write("a.json", spec(side=20))
    write("erfscope.toml", '[[check]]\nmodel = "a.json"\ninputs = 4\nerf_size = { min = 1 }')
    done = check("--junit", "r/j.xml", "--markdown", "r/m.md", "--gitlab", "r/g.json", "--report", "r/r.json")
    assert done.code == 0
    assert sorted(path.name for path in Path("r").iterdir()) == ["g.json", "j.xml", "m.md", "r.json"]
    assert json.loads(Path("r/g.json").read_text("utf-8")) == []
    assert json.loads(Path("r/r.json").read_text("utf-8"))["result"] == "pass"


@pytest.mark.parametrize(("least", "code"), [(1, 2), (90, 1)])
def test_a_report_that_cannot_be_written_costs_nothing_else(
    check: Check, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch, least: int, code: int
) -> None:
    write("a.json", spec())
    write("erfscope.toml", f'[[check]]\nmodel = "a.json"\ntrf_size = {{ min = {least} }}\n')
    write("file", "mine")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/dev/null/summary")
    done = check("--junit", "file/j.xml", "--markdown", "m.md", "--gitlab", ".")
    assert done.code == code
    assert "trf_size" in done.out
    assert "wrote m.md" in done.out
    assert (folder / "m.md").exists()
    assert "Errno" not in done.err
    for name in ("--junit: ", "--gitlab: ", "GITHUB_STEP_SUMMARY: "):
        assert f"could not be written. {name}" in done.err


def test_a_baseline_that_is_a_folder(check: Check, write: Write, folder: Path) -> None:
    write("a.json", spec())
    rules = 'trf_size = { min = 1 }\ndrift = { max = "5%" }\n'
    write("erfscope.toml", f'baseline = "b.json"\n[[check]]\nmodel = "a.json"\n{rules}')
    (folder / "b.json").mkdir()
    for words in ([], ["--update-baseline"]):
        done = check(*words)
        assert done.code == 2
        assert "is a folder" in done.words
        assert "Errno" not in done.out
