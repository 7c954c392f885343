"""GitLab's code-quality report: what did not pass, at its line of the configuration."""

import json
from collections.abc import Mapping

from erfscope.gate.findings import Finding, Report, Verdict
from erfscope.gate.reports.text import relative
from erfscope_contract.hashing import sha256_of
from erfscope_contract.text import for_terminal

SEVERITIES = {Verdict.WARN: "minor", Verdict.FAIL: "major", Verdict.BROKEN: "critical"}


def render(report: Report, environment: Mapping[str, str]) -> str:
    """The JSON array."""
    return json.dumps([_issue(one, environment) for one in report.trouble], indent=2, ensure_ascii=False) + "\n"


def _issue(finding: Finding, environment: Mapping[str, str]) -> dict[str, object]:
    path = relative(finding.file, environment)
    return {
        "description": for_terminal(f"{finding.model} {finding.told} {finding.mend}".strip()),
        "check_name": for_terminal(f"erfscope/{finding.metric or finding.rule}"),
        "fingerprint": _fingerprint(finding, path),
        "severity": SEVERITIES[finding.verdict],
        "location": {"path": path, "lines": {"begin": finding.line}},
    }


def _fingerprint(finding: Finding, path: str) -> str:
    """The same for the same trouble in another run: no numbers in it."""
    parts = (path, finding.check, finding.model, finding.rule, finding.metric)
    return sha256_of("\0".join(parts))
