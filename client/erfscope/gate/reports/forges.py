"""Reports as forges read them: annotations of GitHub, code quality of GitLab, JUnit XML for all of them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from xml.etree import ElementTree as ET

from erfscope.gate.findings import Finding, Note, Report, Rule, Verdict
from erfscope.gate.groups import Group, groups
from erfscope.gate.reports import relative, within
from erfscope_contract.hashing import sha256_of
from erfscope_contract.text import for_terminal

LIMIT = 10  # GitHub shows so many errors, and so many warnings, per step


def github(report: Report, environment: Mapping[str, str]) -> list[str]:
    """One line per group of findings that did not pass, the worst first."""
    lines: dict[str, list[str]] = {"error": [], "warning": []}
    for group in groups(report):
        level = "warning" if group.first.verdict is Verdict.WARN else "error"
        lines[level].append(_command(level, group, environment))
    return [line for level in lines.values() for line in level[:LIMIT]]


def _command(level: str, group: Group, environment: Mapping[str, str]) -> str:
    place = relative(group.first.file, environment)
    title = " ".join(part for part in ("erfscope:", group.first.model, group.subject) if part)
    text = f"{group.told_alone} {group.remedy}".strip()
    return f"::{level} file={_property(place)},line={group.first.line},title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    return for_terminal(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


SEVERITIES = {Verdict.WARN: "minor", Verdict.FAIL: "major", Verdict.BROKEN: "critical"}


def gitlab(report: Report, environment: Mapping[str, str]) -> str:
    """The JSON array."""
    return json.dumps([_issue(one, environment) for one in report.trouble], indent=2, ensure_ascii=False) + "\n"


def _issue(finding: Finding, environment: Mapping[str, str]) -> dict[str, object]:
    path = relative(finding.file, environment)
    return {
        "description": for_terminal(f"{finding.model} {finding.told_alone} {finding.remedy}".strip()),
        "check_name": for_terminal(f"erfscope/{finding.metric or finding.rule}"),
        "fingerprint": _fingerprint(finding, path),
        "severity": SEVERITIES[finding.verdict],
        "location": {"path": path, "lines": {"begin": finding.line}},
    }


def _fingerprint(finding: Finding, path: str) -> str:
    """The same for the same trouble in another run: no numbers in it."""
    # Of a check's mistakes in the configuration only the words differ; in other findings these have numbers.
    words = finding.detail if finding.rule is Rule.CONFIGURATION else ""
    parts = (path, finding.check, finding.model, finding.rule, finding.metric, *filter(None, (words,)))
    return sha256_of("\0".join(parts))


OUTCOMES = {Verdict.FAIL: "failure", Verdict.BROKEN: "error"}
PLACED = (Rule.CONFIGURATION, Rule.MEASUREMENT)  # of these one check may have several, about no metric


def junit(report: Report) -> bytes:
    """One suite per check, one case per rule; warnings and notes are words in system-out."""
    root = ET.Element("testsuites", {"name": "erfscope check", **_counted(report.findings)})
    findings = [replace(one, file=within(one.file, report)) for one in report.findings]
    names = _names(findings)
    for check, group in groupby(zip(findings, names, strict=True), key=lambda pair: pair[0].check):
        root.append(_suite(check, list(group), report.about_models))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _names(findings: Sequence[Finding]) -> list[str]:
    """A name for each case that no other case of its check and model has: forges merge those that are alike."""
    names: list[str] = []
    seen: Counter[tuple[str, str, str]] = Counter()
    alike = Counter((one.check, one.model, one.subject, one.layer) for one in findings)
    for one in findings:
        is_placed = one.rule in PLACED or alike[one.check, one.model, one.subject, one.layer] > 1
        parts = (one.subject, one.layer and f"at {one.layer}", f"({one.file}:{one.line})" if is_placed else "")
        name = " ".join(filter(None, parts))
        seen[one.check, one.model, name] += 1
        count = seen[one.check, one.model, name]
        names.append(for_terminal(name if count == 1 else f"{name} #{count}"))
    return names


def _suite(check: str, named: list[tuple[Finding, str]], notes: Sequence[Note]) -> ET.Element:
    findings = [finding for finding, _ in named]
    suite = ET.Element("testsuite", {"name": for_terminal(check), "skipped": "0", **_counted(findings)})
    for finding, name in named:
        case = ET.SubElement(suite, "testcase", classname=for_terminal(finding.model or finding.check), name=name)
        case.extend(_outcome(finding))
    models = {finding.model for finding in findings}
    if words := [f"note: {note.model}: {note.text}" for note in notes if note.model in models]:
        ET.SubElement(suite, "system-out").text = "\n".join(map(for_terminal, words))
    return suite


def _outcome(finding: Finding) -> Iterator[ET.Element]:
    if finding.verdict in OUTCOMES:
        place = f"({finding.file}:{finding.line})"
        element = ET.Element(
            OUTCOMES[finding.verdict], type=finding.rule.value, message=for_terminal(f"{finding.told_alone} {place}")
        )
        element.text = for_terminal(" ".join(filter(None, (finding.told_alone, finding.remedy, place))))
        yield element
    elif finding.detail:
        element = ET.Element("system-out")
        element.text = for_terminal(f"{finding.verdict}: {finding.told_alone} {finding.remedy}".strip())
        yield element


def _counted(findings: tuple[Finding, ...] | list[Finding]) -> dict[str, str]:
    verdicts = [one.verdict for one in findings]
    return {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count(Verdict.FAIL)),
        "errors": str(verdicts.count(Verdict.BROKEN)),
    }
