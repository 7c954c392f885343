"""A check that demands agreement with plain autograd: configuration, verdicts, and what it has no part in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import modern_result_json, result_json
from tests.gate.conftest import Check, spec

from erfscope._errors import APIError
from erfscope.gate.config import Check as Checked
from erfscope.gate.config import load
from erfscope.gate.discovery import ConfigurationError
from erfscope.gate.expect import Erf, measure
from erfscope.gate.findings import Finding, Rule, Verdict
from erfscope.gate.judge import Value, judge
from erfscope.gate.question import Question, Subject
from erfscope_contract.result import ErfResult

Write = Callable[..., Path]
CHECK = '[[check]]\nmodel = "a.json"\n'
VERIFIED = ErfResult.model_validate(modern_result_json())  # its difference is 3.1e-7
UNVERIFIED = ErfResult.model_validate(result_json())


def one(folder: Path, write: Write, text: str) -> Checked:
    write("erfscope.toml", text)
    (check,) = load(None, folder).checks
    return check


def bound_of(check: Checked, result: ErfResult) -> Finding:
    (finding,) = (one for one in judge(check, "a.json", result, None) if one.rule is Rule.BOUND)
    return finding


@pytest.mark.parametrize(
    "text",
    [
        CHECK + "verify = true\nverify_difference = { max = 1e-5 }",
        "[defaults]\nverify = true\n" + CHECK + "verify_difference = { max = 1e-5 }",
        CHECK + "verify = true\nunit = { index = [3, 7, 7] }\nerf_size = { min = 1 }",
    ],
)
def test_a_check_asks_for_it(folder: Path, write: Write, text: str) -> None:
    assert one(folder, write, text).request.verify


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (CHECK + "verify_difference = { max = 1e-5 }", 3, "computed only with verify = true; add it to this check"),
        (CHECK + "verify = false\nverify_difference = { max = 1e-5 }", 4, "computed only with verify = true"),
        (CHECK + "verify = true\nverify_difference = {}\ndrift = { max = '5%' }", 4, "not judged by drift; give max"),
        (CHECK + "verify = 'yes'\nerf_size = { min = 1 }", 3, "must be true or false"),
        (CHECK + "verify = true\nmethod = 'analytic'\nerf_size = { min = 1 }", 1, "draws no samples"),
        (CHECK + "unit = { index = [3, 7] }\nchannels = [3]\nerf_size = { min = 1 }", 3, "leave channels out"),
        (CHECK + "unit = { index = [] }\nerf_size = { min = 1 }", 3, "must have at least 1 entries"),
    ],
)
def test_a_mistake_says_where_and_what_would_do(folder: Path, write: Write, text: str, line: int, said: str) -> None:
    write("erfscope.toml", text)
    with pytest.raises(ConfigurationError) as caught:
        load(None, folder)
    assert said in caught.value.detail
    assert caught.value.line == line


def test_a_bound_that_is_off_asks_for_nothing(folder: Path, write: Write) -> None:
    text = CHECK + "erf_size = { min = 1 }\nverify_difference = { max = 1e-5, level = 'off' }"
    assert not one(folder, write, text).request.verify


@pytest.mark.parametrize(
    ("result", "most", "verdict", "mend"),
    [
        (VERIFIED, 1e-6, Verdict.PASS, ""),
        (VERIFIED, 1e-7, Verdict.FAIL, "not plain autograd's"),
        (UNVERIFIED, 1e-6, Verdict.FAIL, "only with verify = true"),
    ],
)
def test_the_bound_judges_the_difference(
    folder: Path, write: Write, result: ErfResult, most: float, verdict: Verdict, mend: str
) -> None:
    check = one(folder, write, f"{CHECK}verify = true\nverify_difference = {{ max = {most} }}")
    finding = bound_of(check, result)
    assert finding.verdict is verdict
    assert mend in finding.mend
    if result is VERIFIED:
        assert (finding.expected, finding.measured) == (f"≤ {most:g}", "3.1e-07")


def test_rounding_has_no_drift(folder: Path, write: Write) -> None:
    text = f"{CHECK}verify = true\nverify_difference = {{ max = 1 }}\nerf_size = {{}}\ndrift = {{ max = '5%' }}"
    check = one(folder, write, text)
    committed = {"verify_difference": Value(1e-16, None), "erf_size": Value(3.5, 0.1)}
    drifts = [one for one in judge(check, "a.json", VERIFIED, committed) if one.rule is Rule.DRIFT]
    assert [(one.metric, one.verdict) for one in drifts] == [("erf_size", Verdict.PASS)]


def test_a_committed_baseline_stays_when_verification_is_switched_on(folder: Path, write: Write) -> None:
    subject = Subject("a.json", write("a.json", spec()))
    questions = [
        Question(subject, one(folder, write, f"{CHECK}{verify}erf_size = {{ min = 1 }}").request, None)
        for verify in ("", "verify = true\n")
    ]
    assert questions[0].identity == questions[1].identity
    assert questions[0].digest != questions[1].digest  # and the cache holds both


def test_the_command_measures_with_it(check: Check, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from erfscope import _local

    asked: list[bool] = []
    really = _local.measure

    def noted(prepared: Any, request: Any, *rest: Any) -> Any:
        asked.append(request.verify)
        return really(prepared, request, *rest)

    monkeypatch.setattr(_local, "measure", noted)
    write("a.json", spec(side=20))
    rules = "erf_size = { min = 1 }\nverify_difference = { max = 1e-5 }\n"
    write("erfscope.toml", f"[defaults]\nverify = true\ninputs = 2\n{CHECK}{rules}")
    done = check("--json", "--no-cache")
    assert done.code == 0, done.out
    assert json.loads(done.out)["measured"] == 1
    found = {one["metric"]: one for one in json.loads(done.out)["findings"]}
    assert 0 <= found["verify_difference"]["found"] < 1e-5
    assert asked == [True]


def test_tests_ask_for_it_and_assert_it(folder: Path) -> None:
    with pytest.raises(APIError, match="draws no samples"):  # so the plugin's fields reach the request
        measure(spec(side=20), {"verify": True, "method": "analytic"}, root=folder, url=None, cache=None)
    Erf(VERIFIED, None, "net").assert_metric("verify_difference", max=1e-6)
    with pytest.raises(AssertionError, match=r"expected ≤ 1e-08, found 3\.1e-07.*plain autograd's"):
        Erf(VERIFIED, None, "net").assert_metric("verify_difference", max=1e-8)
    with pytest.raises(AssertionError, match=r"found undefined\. It is computed only with verify = true"):
        Erf(UNVERIFIED, None, "net").assert_metric("verify_difference", max=1e-8)
