"""What a run found: one finding per rule, the report of all, and the exit code that follows."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from erfscope_contract.numbers import with_error
from erfscope_contract.significance import reach


class Verdict(StrEnum):
    """How a rule came out; `broken` could not be judged."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    BROKEN = "broken"


class Rule(StrEnum):
    """What kind of rule it was."""

    BOUND = "bound"
    DRIFT = "drift"
    MEASUREMENT = "measurement"
    CONFIGURATION = "configuration"
    BASELINE = "baseline"
    RULES = "rules"


WORST = (Verdict.BROKEN, Verdict.FAIL, Verdict.WARN)  # what did not pass
PASSED, ASSERTION, CONFIGURATION, SERVICE = range(4)
MEANING = ("pass", "assertion", "configuration", "service")  # by exit code, as the Action's output `result`


@dataclass(frozen=True)
class Finding:
    """One rule applied to one model."""

    check: str
    model: str
    rule: Rule
    verdict: Verdict
    expected: str
    file: str
    line: int
    metric: str = ""  # empty where there was nothing to measure
    found: float | None = None
    stderr: float | None = None
    layer: str = ""
    unit: str = ""
    message: str = ""  # the configuration's own words
    detail: str = ""  # what happened, beyond expected and found
    change: str = ""  # which layers differ from those of the baseline
    mend: str = ""  # what to do about it
    undo: str = ""  # what to do about the change of the model: the same for all its metrics
    before: float | None = None  # what the baseline has
    needs: int = 0  # samples that would see a change of the drift limit, where those of this run do not
    exit_code: int = PASSED

    @property
    def subject(self) -> str:
        """`drift of erf_size`, `erf_size`, or what could not be done."""
        if self.rule is Rule.DRIFT and self.metric:
            return f"drift of {self.metric}"
        return self.metric or self.rule.value

    @property
    def measured(self) -> str:
        """`43.32 ± 0.33 px`."""
        if self.found is None:
            return "undefined" if self.rule is Rule.BOUND else "–"
        return f"{with_error(self.found, self.stderr)} {self.unit}".rstrip()

    @property
    def remedy(self) -> str:
        """What to do about it, for a report whose reader sees this finding and no other."""
        return f"{self.undo} {self.mend}".strip()

    @property
    def moved(self) -> float | None:
        """By how much it differs from the baseline; None where either value is unknown."""
        return None if self.found is None or self.before is None else self.found - self.before

    @property
    def is_moved(self) -> bool:
        """Whether it differs from the baseline by more than chance explains."""
        return self.moved is not None and abs(self.moved) > reach(self.stderr, self.stderr)

    @property
    def change_in_percent(self) -> str:
        """`-62.4%`; empty where there is nothing to compare with."""
        if self.moved is None or not self.before:
            return ""
        return f"{self.moved / abs(self.before):+.1%}" if self.moved else "0%"

    @property
    def told(self) -> str:
        """Everything in sentences: the configuration's message first, then what happened."""
        happened = self.detail or f"expected {self.expected}, found {self.measured}."
        return f"{self.message} {happened}".strip()

    @property
    def told_alone(self) -> str:
        """`told` with the change of the model, for a report whose reader sees this finding and no other."""
        return f"{self.told} Changed in the model: {self.change}" if self.change else self.told


@dataclass(frozen=True)
class Note:
    """What a reader should know of a model beside its rules."""

    model: str
    text: str


@dataclass(frozen=True)
class Picture:
    """A heatmap of a run, alone or beside that of what its baseline was measured from."""

    model: str
    layer: str
    digest: str  # of the run's question
    content: bytes
    is_change: bool = False


@dataclass(frozen=True)
class Report:
    """A whole run."""

    findings: tuple[Finding, ...]
    config: str
    measured: int = 0
    cached: int = 0
    pictures: tuple[Picture, ...] = ()
    about_models: tuple[Note, ...] = ()
    baseline: Path | None = None  # where one was written
    updates: tuple[str, ...] = ()  # what the one that was written changed
    is_since_commit: bool = False  # against git's last commit rather than the file that was replaced
    counts: Counter[Verdict] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", Counter(one.verdict for one in self.findings))

    @property
    def exit_code(self) -> int:
        """The first that applies: 2 configuration, 3 service or job, 1 assertion, 0."""
        codes = {one.exit_code for one in self.findings}
        return next((code for code in (CONFIGURATION, SERVICE, ASSERTION) if code in codes), PASSED)

    @property
    def result(self) -> str:
        """The exit code in a word."""
        return MEANING[self.exit_code]

    @property
    def trouble(self) -> list[Finding]:
        """What did not pass, the worst first."""
        return sorted((one for one in self.findings if one.verdict in WORST), key=lambda one: WORST.index(one.verdict))

    @property
    def broken_bounds(self) -> list[Finding]:
        """The bounds that do not hold, each with its line of the configuration."""
        return [one for one in self.trouble if one.rule is Rule.BOUND]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Each model that broke a rule and what changed in it, once, in the order of the findings."""
        return list(dict.fromkeys((one.model, one.change) for one in self.trouble if one.change))

    @property
    def remarks(self) -> list[Finding]:
        """What passed, but so near that a reader should know."""
        return [one for one in self.findings if one.verdict is Verdict.PASS and one.detail]

    @property
    def notes(self) -> list[Note]:
        """Everything that a reader should know beside what did not pass, each once."""
        return list(dict.fromkeys((*(Note(one.model, one.detail) for one in self.remarks), *self.about_models)))

    @property
    def summary(self) -> str:
        """`3 rules hold, 1 fails; 2 measured, 1 from the cache`."""
        words = {Verdict.PASS: "passed", Verdict.WARN: "warned", Verdict.FAIL: "failed", Verdict.BROKEN: "broken"}
        told = ", ".join(f"{self.counts[one]} {word}" for one, word in words.items() if self.counts[one])
        return f"{told or 'nothing to check'}; {self.measured} measured, {self.cached} from the cache"
