"""Models that the baseline has and no check finds any more: a gate must not turn green because a model is gone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erfscope.gate.answers import Means
from erfscope.gate.baseline import Baseline
from erfscope.gate.config import Gate
from erfscope.gate.findings import ASSERTION, Finding, Rule, Verdict
from erfscope.gate.mends import UPDATE
from erfscope.gate.question import Question, Subject, chosen, found_and_missing, is_file_name
from erfscope.gate.renamed import Successor, among

SUITE = "baseline"  # the check that reports name


@dataclass(frozen=True)
class Vanished:
    """A model that is gone, as a failure, and the model that it is now."""

    finding: Finding
    now: Successor | None


def vanished(
    gate: Gate, committed: Baseline, paths: Sequence[Path], questions: Mapping[str, Question], means: Means
) -> list[Vanished]:
    """A failure for each of them, of those at one of the paths where there are paths.

    `questions` are those of the run by their digest: one of them may be about the same model under another name.
    """
    models = dict.fromkeys(entry.model for entry in committed.entries.values())
    named = set(_named(gate))
    gone = [Subject(one, gate.root / one if is_file_name(one) else one) for one in models if one not in named]
    known = [(one.label, among(one.label, committed, questions.values(), means)) for one in chosen(gone, paths)]
    return [Vanished(_finding(gate, model, now), now) for model, now in known]


def _named(gate: Gate) -> Iterator[str]:
    """What a check finds, and what it asks for in vain, which is a finding already."""
    for check in gate.checks:
        found, missing = found_and_missing(gate, check)
        yield from (one.label for one in found)
        yield from (Path(pattern).as_posix() for pattern in missing)


def _finding(gate: Gate, model: str, now: Successor | None) -> Finding:
    renamed = f" {now}" if now else ""
    return Finding(
        check=SUITE,
        model=model,
        rule=Rule.DRIFT,
        verdict=Verdict.FAIL,
        expected="a model",
        file=str(gate.baseline),
        line=line_of_model(gate.baseline, model),
        detail=f"{model} is in the baseline, and no check finds a model of this name any more.{renamed}",
        mend=f"If this is meant, run `{UPDATE}` and commit the file; otherwise restore the model or its check.",
        exit_code=ASSERTION,
    )


def line_of_model(file: Path, model: str) -> int:
    """Where the baseline names a model; 1 where it does not."""
    if not file.is_file():
        return 1
    row = f'"model": {json.dumps(model, ensure_ascii=False)}'
    return next((n for n, line in enumerate(file.read_text("utf-8").splitlines(), 1) if row in line), 1)
