"""Models that the baseline has and no check finds any more: a gate must not turn green because a model is gone."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from erfscope.gate.baseline import Baseline
from erfscope.gate.config import Gate
from erfscope.gate.findings import ASSERTION, Finding, Rule, Verdict
from erfscope.gate.judge import UPDATE
from erfscope.gate.question import Subject, chosen, found_and_missing, is_file_name

SUITE = "baseline"  # the check that reports name


def vanished(gate: Gate, committed: Baseline, paths: Sequence[Path]) -> list[Finding]:
    """A failure for each of them, of those at one of the paths where there are paths."""
    models = dict.fromkeys(entry.model for entry in committed.entries.values())
    named = set(_named(gate))
    gone = [Subject(one, gate.root / one if is_file_name(one) else one) for one in models if one not in named]
    return [_finding(gate, one.label) for one in chosen(gone, paths)]


def _named(gate: Gate) -> Iterator[str]:
    """What a check finds, and what it asks for in vain, which is a finding already."""
    for check in gate.checks:
        found, missing = found_and_missing(gate, check)
        yield from (one.label for one in found)
        yield from (Path(pattern).as_posix() for pattern in missing)


def _finding(gate: Gate, model: str) -> Finding:
    return Finding(
        check=SUITE,
        model=model,
        rule=Rule.DRIFT,
        verdict=Verdict.FAIL,
        expected="a model",
        file=str(gate.baseline),
        line=_line(gate.baseline, model),
        detail=f"{model} is in the baseline and matches no check any more.",
        mend=f"Restore it or its check; or, if it is to go, run `{UPDATE}` and commit the file.",
        exit_code=ASSERTION,
    )


def _line(file: Path, model: str) -> int:
    row = f'"model": {json.dumps(model, ensure_ascii=False)}'
    return next((n for n, line in enumerate(file.read_text("utf-8").splitlines(), 1) if row in line), 1)
