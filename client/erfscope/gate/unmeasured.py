"""A model that could not be measured, as a finding: whose fault it is, where to look, and what to do."""

from erfscope.gate.config import Check
from erfscope.gate.findings import Finding, Rule, Verdict
from erfscope.gate.question import Subject
from erfscope_contract.problem import KINDS, Fault, Problem

OF_FILE = ("invalid-model", "external-data")  # kinds of problems that another file mends
KEYS = {"invalid-target": "layer", "shape-mismatch": "input_shape"}  # of a check, by the problem; otherwise `model`
MEND = "Export the model again, or restore its file from Git: `git checkout BRANCH -- {}`, such as main."


def unmeasured(check: Check, subject: Subject, problem: Problem, *, is_unread: bool) -> Finding:
    """The finding; `is_unread`: the file could not even be read, so that nothing was asked."""
    row = KINDS.get(problem.kind, KINDS["internal"])
    is_of_file = subject.path is not None and (is_unread or problem.kind in OF_FILE)
    is_plain = is_of_file and problem.kind == "bad-request"  # whose title is about a request
    detail = problem.detail if is_plain else f"{problem.title}: {problem.detail}"
    mend = MEND.format(subject.label) if is_of_file and problem.kind in OF_FILE else "" if row.is_told else row.hint
    return Finding(
        check=check.name,
        model=subject.label,
        rule=Rule.CONFIGURATION if row.fault is Fault.REQUEST and not is_of_file else Rule.MEASUREMENT,
        verdict=Verdict.BROKEN,
        expected="a measurement",
        file=str(subject.path if is_of_file else check.source.file),
        line=1 if is_of_file else check.line(KEYS.get(problem.kind, "model")),
        detail=detail.replace(str(subject.path), subject.label),
        mend=mend,
        exit_code=row.fault.exit_code,
    )
