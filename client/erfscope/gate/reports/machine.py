"""The report as JSON: everything, with full precision."""

import json
from dataclasses import asdict

from erfscope.gate.findings import Report

SCHEMA_VERSION = 1


def render(report: Report) -> str:
    """One object; `result` and `exit_code` say how it went, `findings` why."""
    return json.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "result": report.result,
            "exit_code": report.exit_code,
            "config": report.config,
            "measured": report.measured,
            "cached": report.cached,
            "counts": {verdict.value: count for verdict, count in sorted(report.counts.items())},
            "findings": [asdict(finding) for finding in report.findings],
            "baseline": str(report.baseline) if report.baseline else None,
        },
        indent=2,
        ensure_ascii=False,
    )
