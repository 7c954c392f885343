"""Annotations of GitHub Actions: workflow commands on stdout that mark lines of the configuration."""

from collections.abc import Mapping

from erfscope.gate.findings import Finding, Report, Verdict
from erfscope.gate.reports.text import relative
from erfscope_contract.text import for_terminal

LIMIT = 10  # GitHub shows so many errors, and so many warnings, per step


def render(report: Report, environment: Mapping[str, str]) -> list[str]:
    """One line per finding that did not pass, the worst first."""
    lines: dict[str, list[str]] = {"error": [], "warning": []}
    for finding in report.trouble:
        level = "warning" if finding.verdict is Verdict.WARN else "error"
        lines[level].append(_command(level, finding, environment))
    return [line for level in lines.values() for line in level[:LIMIT]]


def _command(level: str, finding: Finding, environment: Mapping[str, str]) -> str:
    place = relative(finding.file, environment)
    title = " ".join(part for part in ("erfscope:", finding.model, finding.subject) if part)
    text = f"{finding.told} {finding.mend}".strip()
    return f"::{level} file={_property(place)},line={finding.line},title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    return for_terminal(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
