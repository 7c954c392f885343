"""JUnit XML, as Jenkins' junit-10 schema has it (GitLab, Azure, CircleCI and others read the same)."""

from collections.abc import Iterator
from itertools import groupby
from xml.etree import ElementTree as ET

from erfscope.gate.findings import Finding, Report, Verdict
from erfscope_contract.text import for_terminal

OUTCOMES = {Verdict.FAIL: "failure", Verdict.BROKEN: "error"}


def render(report: Report) -> bytes:
    """One suite per check, one case per rule; a warning is a passed case with its words in system-out."""
    root = ET.Element("testsuites", {"name": "erfscope check", **_counted(report.findings)})
    for check, group in groupby(report.findings, key=lambda one: one.check):
        root.append(_suite(check, list(group)))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(check: str, findings: list[Finding]) -> ET.Element:
    suite = ET.Element("testsuite", {"name": for_terminal(check), "skipped": "0", **_counted(findings)})
    for finding in findings:
        name = for_terminal(
            " ".join(part for part in (finding.subject, finding.layer and f"at {finding.layer}") if part)
        )
        case = ET.SubElement(suite, "testcase", classname=for_terminal(finding.model or finding.check), name=name)
        case.extend(_outcome(finding))
    return suite


def _outcome(finding: Finding) -> Iterator[ET.Element]:
    if finding.verdict in OUTCOMES:
        element = ET.Element(OUTCOMES[finding.verdict], type=finding.rule.value, message=for_terminal(finding.told))
        element.text = for_terminal(f"{finding.told} {finding.mend} ({finding.file}:{finding.line})")
        yield element
    elif finding.detail:
        element = ET.Element("system-out")
        element.text = for_terminal(f"{finding.verdict}: {finding.told} {finding.mend}".strip())
        yield element


def _counted(findings: tuple[Finding, ...] | list[Finding]) -> dict[str, str]:
    verdicts = [one.verdict for one in findings]
    return {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count(Verdict.FAIL)),
        "errors": str(verdicts.count(Verdict.BROKEN)),
    }
