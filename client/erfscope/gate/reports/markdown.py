"""Markdown for a pull request or GITHUB_STEP_SUMMARY: a plain table, because forges strip embedded images."""

from collections.abc import Iterator, Mapping, Sequence

from erfscope.gate.findings import Finding, Report, Rule, Verdict
from erfscope.gate.groups import Group, groups, headline, is_told
from erfscope.gate.reports import SIGNS, within
from erfscope_contract.meanings import in_plain_words
from erfscope_contract.text import for_cell, for_markdown, for_sentence

CHANGES = {Rule.RULES: "loosens rules", Rule.BASELINE: "re-baselines models"}
ROWS = 300  # a step summary may have 1 MiB; the terminal has the rest


def render(report: Report, environment: Mapping[str, str] | None = None) -> str:
    """Headline, what changed in the models, table, then what to do about what did not hold.

    `environment` is that of a forge, whose run is linked: a comment is read elsewhere.
    """
    found = groups(report)
    parts = [f"## {_headline(report, found)}", ""]
    told = found[0].first.change if _is_about_a_model(found) and is_told(found[0].first.change) else ""
    for model, change in report.changes[:ROWS]:
        if change != told:
            parts += [f"**Changed in {for_markdown(model)}**: {for_sentence(change)}", ""]
    parts += [f"{for_markdown(report.summary)}.", *_run(report, environment or {}), ""]
    parts += table(report.findings)
    parts += _glossary(report.trouble)
    for group in found[:ROWS]:
        parts += _item(group, report)
    parts += [f"- Note: {for_markdown(one.model)}: {for_sentence(one.text)}" for one in report.notes[:ROWS]]
    parts += [f"- Baseline: {for_markdown(line)}" for line in report.updates[:ROWS]]
    return "\n".join(parts).rstrip() + "\n"


def _item(group: Group, report: Report) -> Iterator[str]:
    """A group as an item of a list: one line where it has one finding, otherwise a line for each."""
    about = " · ".join(map(for_markdown, group.about))
    places = dict.fromkeys(f"{within(one.file, report)}:{one.line}" for one in group.findings)
    place = for_markdown(", ".join(places))
    first, *more = map(for_sentence, group.lines)
    if more:
        yield f"- **{about}** ({place})"
        yield from (f"  - {line}" for line in (first, *more))
    else:
        yield f"- **{about}**: {first} ({place})"
    if group.remedy:
        yield f"  - How to mend: {for_sentence(group.remedy)}"


def _glossary(trouble: Sequence[Finding]) -> list[str]:
    """The metrics that broke a rule, each in plain words."""
    names = dict.fromkeys(one.metric for one in trouble if one.metric)
    lines = [f"- *{for_markdown(name)}*: {for_cell(in_plain_words(name))}" for name in names]
    return [*lines, ""] if lines else []


def table(findings: Sequence[Finding]) -> list[str]:
    """One row per rule, what did not pass first."""
    rows = [one for one in findings if one.rule in (Rule.BOUND, Rule.DRIFT)]
    if not rows:
        return []
    order = (Verdict.BROKEN, Verdict.FAIL, Verdict.WARN, Verdict.PASS)
    shown = sorted(rows, key=lambda one: order.index(one.verdict))[:ROWS]
    lines = ["| | check | model | metric | expected | found | change |", "|---|---|---|---|---|---|---|"]
    for one in shown:
        cells = (SIGNS[one.verdict], one.check, one.model, one.subject, one.expected, one.measured)
        lines.append(f"| {' | '.join(for_markdown(cell) for cell in (*cells, one.change_in_percent))} |")
    if len(rows) > len(shown):
        lines += ["", f"… and {len(rows) - len(shown)} more rules."]
    return [*lines, ""]


RUN = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")


def _run(report: Report, environment: Mapping[str, str]) -> list[str]:
    """A link to the run of GitHub, which has the log and the artifacts; nothing elsewhere."""
    if not all(environment.get(name) for name in RUN):
        return []
    server, repository, number = (environment[name] for name in RUN)
    pictures = ", and the pictures as an artifact" if report.pictures else ""
    return [f"[The run]({server}/{repository}/actions/runs/{number}) has the log{pictures}."]


def _is_about_a_model(found: Sequence[Group]) -> bool:
    """Whether the worst group is about a rule of a model that did not hold."""
    return bool(found) and bool(found[0].first.metric) and found[0].first.verdict is not Verdict.BROKEN


def _headline(report: Report, found: Sequence[Group]) -> str:
    words = {
        "pass": "Receptive fields are as asked",
        "assertion": "A receptive field is not as asked",
        "configuration": "The receptive field gate cannot judge: its configuration or a model is wrong",
        "service": "Receptive fields could not be measured",
    }
    rules = {one.rule for one in report.trouble}
    changes = [words for rule, words in CHANGES.items() if rule in rules]
    more = f"; this change {' and '.join(changes)}" if changes else ""
    if _is_about_a_model(found):
        return f"{SIGNS[found[0].first.verdict]} {for_sentence(headline(found))}{more}"
    first = found[0].first if found else None
    if first is not None and first.model and first.rule is Rule.MEASUREMENT and report.result == "configuration":
        return f"{SIGNS[first.verdict]} {for_markdown(first.model)} cannot be measured{more}"
    return f"{SIGNS[Verdict.FAIL if report.exit_code else Verdict.PASS]} {words[report.result]}{more}"
