"""Markdown for a pull request or GITHUB_STEP_SUMMARY: a plain table, because forges strip embedded images."""

from collections.abc import Mapping, Sequence

from erfscope.gate.findings import Finding, Report, Rule, Verdict
from erfscope.gate.reports import SIGNS, within
from erfscope_contract.text import for_markdown, for_sentence

CHANGES = {Rule.RULES: "loosens rules", Rule.BASELINE: "re-baselines models"}
ROWS = 300  # a step summary may have 1 MiB; the terminal has the rest


def render(report: Report, environment: Mapping[str, str] | None = None) -> str:
    """Headline, what changed in the models, table, then what to do about what did not hold.

    `environment` is that of a forge, whose run is linked: a comment is read elsewhere.
    """
    parts = [f"## {_headline(report)}", "", f"{for_markdown(report.summary)}.", *_run(environment or {}), ""]
    for model, change in report.changes[:ROWS]:
        parts += [f"**Changed in {for_markdown(model)}**: {for_sentence(change)}", ""]
    parts += table(report.findings)
    for finding in report.entries[:ROWS]:
        about = " · ".join(for_markdown(part) for part in (finding.model, finding.layer, finding.subject) if part)
        place = for_markdown(f"{within(finding.file, report)}:{finding.line}")
        parts += [f"- **{about}**: {for_sentence(finding.told)} ({place})"]
        parts += [f"  - How to mend: {for_sentence(finding.mend)}"] if finding.mend else []
    parts += [f"- Note: {for_markdown(one.model)}: {for_sentence(one.text)}" for one in report.notes[:ROWS]]
    parts += [f"- Baseline: {for_markdown(line)}" for line in report.updates[:ROWS]]
    return "\n".join(parts).rstrip() + "\n"


def table(findings: Sequence[Finding]) -> list[str]:
    """One row per rule, what did not pass first."""
    rows = [one for one in findings if one.rule in (Rule.BOUND, Rule.DRIFT)]
    if not rows:
        return []
    order = (Verdict.BROKEN, Verdict.FAIL, Verdict.WARN, Verdict.PASS)
    shown = sorted(rows, key=lambda one: order.index(one.verdict))[:ROWS]
    lines = ["| | check | model | metric | expected | found |", "|---|---|---|---|---|---|"]
    for one in shown:
        cells = (SIGNS[one.verdict], one.check, one.model, one.subject, one.expected, one.measured)
        lines.append(f"| {' | '.join(for_markdown(cell) for cell in cells)} |")
    if len(rows) > len(shown):
        lines += ["", f"… and {len(rows) - len(shown)} more rules."]
    return [*lines, ""]


RUN = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")


def _run(environment: Mapping[str, str]) -> list[str]:
    """A link to the run of GitHub, which has the log and the artifacts; nothing elsewhere."""
    if not all(environment.get(name) for name in RUN):
        return []
    server, repository, number = (environment[name] for name in RUN)
    return [f"[The run]({server}/{repository}/actions/runs/{number}) has the log, and the pictures as an artifact."]


def _headline(report: Report) -> str:
    words = {
        "pass": "Receptive fields are as asked",
        "assertion": "A receptive field is not as asked",
        "configuration": "The receptive field gate cannot judge: its configuration or a model is wrong",
        "service": "Receptive fields could not be measured",
    }
    rules = {one.rule for one in report.trouble}
    changes = [words for rule, words in CHANGES.items() if rule in rules]
    more = f"; this change {' and '.join(changes)}" if changes else ""
    return f"{SIGNS[Verdict.FAIL if report.exit_code else Verdict.PASS]} {words[report.result]}{more}"
