"""One run of the gate, from the configuration to the report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from erfscope._errors import ErfscopeError
from erfscope._files import trouble
from erfscope.gate import baseline as baselines
from erfscope.gate import notes
from erfscope.gate.answers import Means, Outcome, Progress, ask, problem_from, silent
from erfscope.gate.base import Base, against_base, base_of, baseline_at
from erfscope.gate.baseline import Baseline, Committed, Entry, parse
from erfscope.gate.cache import Answer
from erfscope.gate.config import Check, Gate, load
from erfscope.gate.discovery import ConfigurationError
from erfscope.gate.explain import Explainer, explained, layers_of
from erfscope.gate.findings import ASSERTION, CONFIGURATION, Finding, Picture, Report, Rule, Verdict
from erfscope.gate.former import Former, pictured
from erfscope.gate.git import content_at
from erfscope.gate.judge import Value, is_without_baseline, judge, values
from erfscope.gate.mends import UPDATE
from erfscope.gate.question import Question, Subject, chosen, found_and_missing, like
from erfscope.gate.renamed import beside_it
from erfscope.gate.rules import Level
from erfscope.gate.unmeasured import unmeasured
from erfscope.gate.update import changes, unsure
from erfscope.gate.vanished import vanished
from erfscope_contract.problem import Problem
from erfscope_contract.result import ErfResult


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    start: Path  # where the configuration is looked for
    config: Path | None = None
    paths: tuple[Path, ...] = ()
    update_baseline: bool = False
    base: str | None = None  # the commit or branch whose rules and baseline are compared with these
    environment: Mapping[str, str] = field(default_factory=dict)  # of a forge, which may name the base
    means: Means = field(default_factory=Means)


@dataclass(frozen=True)
class Case:
    """A check about one model."""

    check: Check
    subject: Subject
    question: Question


def run(options: Options, progress: Progress = silent) -> Report:
    """Measure what the configuration asks and judge it; a configuration that is wrong is a finding as well."""
    try:
        gate = load(options.config, options.start)
        cases, missing = _cases(gate, options.paths)
        if options.update_baseline and not missing and all(case.check.drift is None for case in cases):
            raise ConfigurationError(
                gate.file, "no check has a drift rule, so there is nothing to commit a baseline for"
            )
        if options.update_baseline and gate.baseline.is_dir():
            raise ConfigurationError(gate.file, f"baseline {gate.baseline} is a folder; name a .json file")
        committed = Baseline() if options.update_baseline else baselines.read(gate.baseline)
        base = base_of(gate, options.base, options.environment)
        known, refused = _questions(cases)
        outcomes = {**refused, **ask(list(known.values()), options.means, progress)}
        before = Baseline()
        if options.update_baseline:
            is_measured = not any(isinstance(outcome, Problem) for outcome in outcomes.values())
            is_whole = not options.paths and not missing and is_measured
            before = _replaceable(gate.baseline) if is_whole else baselines.read(gate.baseline)
            kept = Baseline() if is_whole else before.without(_asked_otherwise(cases))
            committed = kept.updated(_entries(cases, outcomes, options.means))
            if (
                committed.entries or gate.baseline.exists()
            ):  # where nothing could be measured, there is nothing to write
                _commit(gate, committed)
        changed = against_base(gate, committed, base)
    except ConfigurationError as error:
        return Report(tuple(map(_misconfigured, error.all)), error.file)
    report = _report(gate, cases, outcomes, committed)
    if not options.update_baseline:
        missing = [_with_new_name(gate, one, committed, options.means) for one in missing]
    gone = [] if options.update_baseline else vanished(gate, committed, options.paths, known, options.means)
    new_names = {one.now.model for one in gone if one.now}
    judged = [unsure(one) if options.update_baseline else one for one in report.findings]
    findings = [one for one in judged if not (is_without_baseline(one) and one.model in new_names)]
    report = replace(report, findings=(*missing, *findings, *(one.finding for one in gone), *changed))
    asked = [(case.question, _outcome(case, outcomes)) for case in cases]
    dead = notes.of_dead_layers([(question.subject.label, outcome) for question, outcome in asked], report.findings)
    report = replace(report, about_models=tuple(dead))
    if options.update_baseline:
        written = gate.baseline if gate.baseline.exists() else None
        at_head = _last_committed(gate.baseline)
        updates = tuple(changes(before if at_head is None else at_head, committed))
        return replace(report, baseline=written, updates=updates, is_since_commit=at_head is not None)
    if options.means.with_pictures:
        at_base = Former(base.name, baseline_at(gate, base)) if isinstance(base, Base) else None
        formers = [Former("baseline", committed), *([at_base] if at_base else [])]
        pictures, absent = pictured(asked, formers, report.trouble, options.means)
        report = replace(report, pictures=(*report.pictures, *pictures), about_models=(*report.about_models, *absent))
    explainer = Explainer(
        {(case.check.name, case.subject.label): case.question for case in cases}, committed, options.means
    )
    explanations = explained(report.findings, explainer)
    watched = {(case.check.name, case.subject.label) for case in cases if case.check.is_watched}
    about_models = (*notes.of_changes(explanations, explainer, watched), *report.about_models)
    return replace(report, findings=tuple(explanations), about_models=about_models)


def _asked_otherwise(cases: Sequence[Case]) -> Callable[[Entry], bool]:
    """Whether an entry is of one of these models, and none of its checks asks for that measurement any more."""
    identities = [case.question.identity for case in cases]
    models = {identity["model"] for identity in identities}
    return lambda entry: entry.model in models and entry.identity not in identities


def _replaceable(file: Path) -> Baseline:
    """A baseline that is replaced as a whole; one that cannot be read is replaced all the same."""
    try:
        return baselines.read(file)
    except ConfigurationError:
        return Baseline()


def _last_committed(file: Path) -> Baseline | None:
    """The baseline of git's last commit, so that a second update tells all that the next one changes."""
    content = content_at(file, "HEAD")
    try:
        return parse(file, content) if content else None
    except ConfigurationError:
        return None


def _commit(gate: Gate, baseline: Baseline) -> None:
    try:
        gate.baseline.write_text(baseline.dumps(), "utf-8")
    except OSError as error:
        raise ConfigurationError(gate.file, f"the baseline cannot be written: {trouble(error)}") from None


def _cases(gate: Gate, paths: Sequence[Path]) -> tuple[list[Case], list[Finding]]:
    """Every check about every one of its models that was asked for, and what is said of models that are not there.

    Checks whose rules are all off are left out.
    """
    cases: list[Case] = []
    missing: list[Finding] = []
    labels: set[str] = set()
    for check in gate.checks:
        found, complaints = found_and_missing(gate, check)
        labels |= {one.label for one in found}
        missing += [
            replace(_misconfigured(error), check=check.name, model=name, expected="a model")
            for name, error in complaints.items()
        ]
        if any(bound.level is not Level.OFF for bound in check.bounds.values()):
            cases += [Case(check, one, Question(one, check.request, check.images)) for one in chosen(found, paths)]
    for path in paths:
        if not missing and not chosen([case.subject for case in cases], [path]):
            found_at = "is in no check" if path.exists() else "does not exist"
            advice = "" if path.exists() else like(path.as_posix(), labels)
            raise ConfigurationError(
                gate.file, f"{path} {found_at}; {advice or 'PATHS are models, or folders of models, of its checks'}"
            )
    return cases, missing


def _with_new_name(gate: Gate, finding: Finding, committed: Baseline, means: Means) -> Finding:
    """A model that is not there, with the name of the file that is the same model."""
    check = next(one for one in gate.checks if one.name == finding.check and finding.model in one.models)
    now = beside_it(gate, check, finding.model, committed, means)
    if now is None:
        return finding
    mend = f"{now} Write {now.model} into the check, then run `{UPDATE}`."
    return replace(finding, mend=mend)


def _questions(cases: Sequence[Case]) -> tuple[dict[str, Question], dict[str, Outcome]]:
    """By digest; and the problems of models that cannot even be read, by label."""
    known: dict[str, Question] = {}
    refused: dict[str, Outcome] = {}
    for case in cases:
        try:
            known.setdefault(case.question.digest, case.question)
        except (ErfscopeError, OSError) as error:
            refused[_refusal(case)] = problem_from(error)
    return known, refused


def _refusal(case: Case) -> str:
    return f"{case.check.index}:{case.subject.label}"


def _outcome(case: Case, outcomes: Mapping[str, Outcome]) -> Outcome:
    refused = outcomes.get(_refusal(case))
    return refused if refused is not None else outcomes[case.question.digest]


def _report(gate: Gate, cases: Sequence[Case], outcomes: Mapping[str, Outcome], committed: Baseline) -> Report:
    findings = [finding for case in cases for finding in _judged(case, outcomes, committed)]
    answers = {digest: outcome for digest, outcome in outcomes.items() if isinstance(outcome, Answer)}
    labels = {case.question.digest: case.subject.label for case in cases if _refusal(case) not in outcomes}
    return Report(
        tuple(findings),
        str(gate.file),
        measured=sum(not answer.cached for answer in answers.values()),
        cached=sum(answer.cached for answer in answers.values()),
        pictures=tuple(
            Picture(labels[digest], answer.result.layer.name, digest, answer.picture)
            for digest, answer in answers.items()
            if answer.picture is not None
        ),
    )


def _judged(case: Case, outcomes: Mapping[str, Outcome], committed: Baseline) -> Iterator[Finding]:
    outcome = _outcome(case, outcomes)
    if isinstance(outcome, Problem):
        yield unmeasured(case.check, case.subject, outcome, is_unread=_refusal(case) in outcomes)
        return
    entry = committed.entry(case.question.identity)
    passed = {one.name: one.why for one in outcome.result.layer.passed_over}
    if entry is not None and case.check.drift is not None and entry.layer in passed:
        yield _elsewhere(case, outcome.result, entry.layer, passed[entry.layer])
        return
    known: Mapping[str, Value] | None = committed.values(case.question.identity)
    yield from judge(case.check, case.subject.label, outcome.result, known)


def _elsewhere(case: Case, result: ErfResult, former: str, why: str) -> Finding:
    """`auto` passed over the layer that the baseline was measured at: the numbers of another say nothing of it."""
    return Finding(
        check=case.check.name,
        model=case.subject.label,
        rule=Rule.DRIFT,
        verdict=Verdict.FAIL,
        expected=f"layer {former}",
        file=str(case.check.source.file),
        line=case.check.line("drift"),
        layer=result.layer.name,
        detail=f"The baseline was measured at layer {former}; auto took {result.layer.name} now ({former}: {why}).",
        mend=f'Mend the model, or name a layer (layer = "…"); if it is meant, run `{UPDATE}` and commit the file.',
        exit_code=ASSERTION,
    )


def _entries(cases: Sequence[Case], outcomes: Mapping[str, Outcome], means: Means) -> list[Entry]:
    """What drift will be judged against: the watched metrics of all checks that have a drift rule."""
    entries = []
    for case in cases:
        outcome = _outcome(case, outcomes)
        if case.check.drift is None or isinstance(outcome, Problem):
            continue
        found = values(outcome.result)
        watched = [name for name, bound in case.check.bounds.items() if bound.level is not Level.OFF and name in found]
        metrics = {name: Committed(value=found[name].value, stderr=found[name].stderr) for name in watched}
        known = layers_of(case.question, means)
        if isinstance(known, Problem):
            raise ConfigurationError(case.check.source.file, f"{case.subject.label}: {known.detail}", case.check.line())
        entries.append(
            Entry(
                **case.question.identity,
                question=case.question.digest,
                layer=outcome.result.layer.name,
                samples=outcome.result.samples.used,
                metrics=metrics,
                layers=known,
            )
        )
    return entries


def _misconfigured(error: ConfigurationError) -> Finding:
    return Finding(
        check="configuration",
        model="",
        rule=Rule.CONFIGURATION,
        verdict=Verdict.BROKEN,
        expected="a valid configuration",
        file=error.file,
        line=error.line,
        detail=error.detail,
        exit_code=CONFIGURATION,
    )
