"""Runs claims one after another; one that breaks is a row of its own, and the others go on."""

import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from erfscope.cli.failure import problem_of
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.finding import Finding, Quantity, Row, Verdict
from erfscope_reproduce.table import Claim

Hear = Callable[[str, float], None]
Tell = Callable[["Outcome"], None]


@dataclass(frozen=True)
class Outcome:
    """A claim with what was found, and how long it took."""

    claim: Claim
    finding: Finding
    seconds: float

    @property
    def crashed(self) -> bool:
        """Whether there is no answer."""
        return any(row.verdict is Verdict.CRASHED for row in self.finding.rows)


def run(claims: Sequence[Claim], bench: Bench, *, hear: Hear, tell: Tell) -> list[Outcome]:
    """Ask every claim; `hear` gets (what is done, share), `tell` each outcome when it is there."""
    outcomes = []
    for number, claim in enumerate(claims):
        outcome = _ask(claim, replace(bench, progress=_within(hear, claim, number, len(claims))))
        outcomes.append(outcome)
        tell(outcome)
    hear("done", 1.0)
    return outcomes


def _within(hear: Hear, claim: Claim, number: int, total: int) -> Hear:
    def told(stage: str, share: float) -> None:
        hear(f"{claim.id} {claim.title}: {stage} {share:.0%}", number / total)  # how many more come is not known

    return told


def _ask(claim: Claim, bench: Bench) -> Outcome:
    start = time.monotonic()
    bench.progress("start", 0.0)
    try:
        finding = claim.find(bench)
    except Exception as error:  # one broken experiment must not cost the others' hours
        if os.environ.get("ERFSCOPE_DEBUG"):
            traceback.print_exception(error)
        finding = Finding([_crash(claim, error)])
    return Outcome(claim, finding, time.monotonic() - start)


def _crash(claim: Claim, error: Exception) -> Row:
    problem = problem_of(error)
    return Row(
        id=claim.id,
        claim=claim.title,
        published="",
        ours=Quantity(float("nan")),
        verdict=Verdict.CRASHED,
        how="",
        note=f"{problem.title}: {problem.detail}",
    )
