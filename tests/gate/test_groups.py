"""What did not pass, by cause: one entry, one remedy, and a sentence where sizes move both ways."""

from dataclasses import replace

from tests.gate.test_reports import finding, report

from erfscope.gate.findings import Finding, Rule, Verdict
from erfscope.gate.groups import groups, headline
from erfscope.gate.mends import GREW, MEANT, UNDO, WIDER, accepting
from erfscope.gate.reports import markdown


def drift(metric: str, before: float, now: float, verdict: Verdict = Verdict.FAIL, undo: str = "") -> Finding:
    words = undo or (GREW if now > before else accepting(UNDO))
    one = finding(verdict, rule=Rule.DRIFT, metric=metric, before=before, found=now, stderr=0.1, undo=words)
    return replace(one, detail=f"{metric} moved.", line=9)


def test_metrics_of_a_model_are_one_group_with_one_remedy() -> None:
    bounds = [finding(metric=name, mend=f"{WIDER} {MEANT}", undo=UNDO) for name in ("erf_size", "mass_50_side")]
    (group,) = groups(report(*bounds, drift("erf_size", 60, 43.3), drift("trf_size", 141, 53)))
    assert group.subject == "erf_size and its drift, mass_50_side, drift of trf_size"
    assert group.remedy == f"{accepting(UNDO)} For the bound: {WIDER} {MEANT}"
    text = markdown.render(report(*bounds, drift("erf_size", 60, 43.3), drift("trf_size", 141, 53)))
    assert text.startswith("## ✗ models/a.onnx: TRF 141 → 53 px (-62.4%)\n")
    assert text.count("How to mend") == 1
    assert "(erfscope.toml:3, erfscope.toml:9)" in text
    assert text.count("*trf\\_size*: side of the part of the input that can reach the unit at all.") == 1


def test_what_shrank_decides_the_remedy() -> None:
    (group,) = groups(report(drift("erf_size", 10.6, 12), drift("trf_size", 141, 53)))
    assert group.remedy == accepting(UNDO)
    (group,) = groups(report(drift("erf_size", 10.6, 12)))
    assert group.remedy.startswith("The field grew.")


def test_sizes_that_move_both_ways_are_explained_once() -> None:
    passing = drift("erf_size", 10.6, 12, Verdict.PASS)
    (group,) = groups(report(drift("trf_size", 141, 53), drift("mass_50_side", 30, 20), passing))
    assert group.contrary.startswith("trf_size, mass_50_side fell and erf_size rose. This is no contradiction:")
    assert sum("no contradiction" in line for line in group.lines) == 1
    (group,) = groups(report(drift("trf_size", 141, 53), drift("mass_50_side", 30, 20)))
    assert group.contrary == ""
    by_chance = replace(passing, stderr=1.0)
    (group,) = groups(report(drift("trf_size", 141, 53), by_chance))
    assert group.contrary == ""


def test_a_headline_counts_the_other_models() -> None:
    found = groups(report(drift("trf_size", 9, 5), *(replace(drift("r50", 9, 5), model=one) for one in ("b", "c"))))
    assert headline(found) == "models/a.onnx: TRF 9 → 5 px (-44.4%) (and 2 more models)"
