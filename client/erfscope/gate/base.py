"""What a branch changes in the gate itself: without this, a pull request that moves the goal posts passes silently."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from erfscope.gate.baseline import Baseline, parse
from erfscope.gate.config import Gate, gate_of
from erfscope.gate.discovery import OWN, SHARED, ConfigurationError, Source, source_of
from erfscope.gate.findings import Finding, Rule, Verdict
from erfscope.gate.git import answer, commit_of, content_at, is_shallow, refusal
from erfscope.gate.loosened import Loosened, loosened
from erfscope.gate.update import differences
from erfscope.gate.vanished import SUITE, line_of_model

# What forges call the branch that a pull request is merged into: GitHub, GitLab, Azure, Bitbucket, Jenkins.
BRANCHES = (
    "GITHUB_BASE_REF",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
    "SYSTEM_PULLREQUEST_TARGETBRANCHNAME",
    "BITBUCKET_PR_DESTINATION_BRANCH",
    "CHANGE_TARGET",
)
COMMIT = "CI_MERGE_REQUEST_DIFF_BASE_SHA"  # GitLab: where the branch began
RULES = "rules"  # the check that reports name for what became weaker
MERGE = "refs/pull/"  # GITHUB_REF of a pull request, which is a merge: its first parent is the base


@dataclass(frozen=True)
class Base:
    """The commit that a branch is compared with, and what people call it."""

    name: str
    commit: str

    def __str__(self) -> str:
        return f"{self.name} ({self.commit[:8]})"


def base_of(gate: Gate, asked: str | None, environment: Mapping[str, str]) -> Base | Finding | None:
    """The base that the command line names (`asked`) or the variables of a forge; None without either.

    A warning where it cannot be read. Raises ConfigurationError for an asked one that is not there.
    """
    name = asked or next((environment[one] for one in BRANCHES if environment.get(one)), "")
    if not name:
        return None
    base = _base(gate.file, name, {} if asked else environment)
    return base or _unknown(gate.file, name, environment, is_asked=asked is not None)


def baseline_at(gate: Gate, base: Base) -> Baseline:
    """The baseline of the base; an empty one where it has none, or none that can be read."""
    try:
        file = (_gate_at(base, gate) or gate).baseline
        content = content_at(file, base.commit)
        return parse(file, content) if content else Baseline()
    except ConfigurationError:  # `against_base` tells it
        return Baseline()


def against_base(gate: Gate, now: Baseline, base: Base | Finding | None) -> list[Finding]:
    """A warning for each rule that is weaker than at the base and each model whose entry of the baseline differs."""
    if not isinstance(base, Base):
        return [base] if base else []
    try:
        before = _gate_at(base, gate)
    except ConfigurationError as error:
        rules = [_unreadable(gate.file, base, error)]
        before = None
    else:
        rules = [_weaker(gate.file, base, one) for one in loosened(before, gate)] if before else []
    return [*rules, *_rebaselined(gate.baseline, now, base, (before or gate).baseline)]


def _base(file: Path, name: str, environment: Mapping[str, str]) -> Base | None:
    """The first that git knows: the commit of a forge, the place where the branch began, or the tip of the base."""
    if commit := commit_of(file, environment.get(COMMIT, "")):
        return Base(name, commit)
    if environment.get("GITHUB_REF", "").startswith(MERGE) and commit_of(file, "HEAD^2"):
        return Base(name, commit_of(file, "HEAD^1"))
    for ref in (f"origin/{name}", name):
        if tip := commit_of(file, ref):
            return Base(name, answer(file, "merge-base", "HEAD", tip) or tip)
    return None


def _gate_at(base: Base, gate: Gate) -> Gate | None:
    """The configuration as the base has it, by this name or a usual one; None where it has none.

    Raises ConfigurationError for one that cannot be read.
    """
    sources = (_source_at(base, gate.root / name) for name in dict.fromkeys((gate.file.name, OWN, SHARED)))
    source = next((one for one in sources if one and one.table), None)
    return gate_of(source) if source else None


def _source_at(base: Base, file: Path) -> Source | None:
    content = content_at(file, base.commit)
    return source_of(file, content.decode("utf-8", "replace")) if content else None


def _weaker(file: Path, base: Base, one: Loosened) -> Finding:
    return Finding(
        check=RULES,
        model=one.models,
        rule=Rule.RULES,
        verdict=Verdict.WARN,
        expected="the rules of the base",
        file=str(file),
        line=one.line,
        detail=f"This change loosens the rules of {one.check}. Against {base}: {'; '.join(one.words)}.",
        mend="The rules above are those of this change. If this is meant, approve it with the review; otherwise "
        f"restore them: `git diff {base.commit[:8]} -- {file.name}` shows what changed.",
    )


def _rebaselined(file: Path, now: Baseline, base: Base, before: Path) -> Iterator[Finding]:
    """`before` is the file that the base's configuration names."""
    content = content_at(before, base.commit)
    if not content:  # the base has no baseline: nothing is replaced
        return
    for one in differences(parse(before, content), now):
        if not one.is_new:
            yield _warning(
                file,
                one.model,
                f"This change re-baselines the model. Against {base}: {one.words}.",
                "The rules above were judged against the new values. If this is meant, approve it with the review; "
                "otherwise restore the model, and the old values by "
                f"`git checkout {base.commit[:8]} -- {before.name}`.",
                line=line_of_model(file, one.now or one.model),
            )


def _unknown(file: Path, name: str, environment: Mapping[str, str], *, is_asked: bool) -> Finding:
    """Why there is nothing to compare with; raises ConfigurationError for a base that was asked for by a wrong name."""
    refused, shallow = refusal(file), is_shallow(file)
    if is_asked and refused is None and not shallow:
        raise ConfigurationError(file, f"--base {name}: git knows no commit of that name here")
    why = "this clone is shallow and lacks that commit" if shallow else "git does not know that branch here"
    unset = _unset(file, environment) if not is_asked else ""
    mend = unset + (
        "Fetch the base as well: in a workflow `fetch-depth: 2` of actions/checkout, elsewhere `git fetch origin "
        f"{name}`; or name a commit that is there by --base."
    )
    if refused is not None:
        why, mend = refused.why, refused.mend
    detail = f"Whether this change re-baselines a model of {name} or loosens a rule cannot be known: {why}."
    return _warning(file, file.name, detail, mend, Rule.CONFIGURATION)


def _unset(file: Path, environment: Mapping[str, str]) -> str:
    """What to do where GitHub's variable is missing that tells of a merge, whose first parent is the base."""
    if environment.get("GITHUB_REF") or not environment.get("GITHUB_BASE_REF"):
        return ""
    then = "Or: " if commit_of(file, "HEAD^2") else ""
    return (
        "GITHUB_REF is not set, so that the commit that is checked out is not known as the merge of a pull request, "
        f"whose first parent is the base: pass GITHUB_REF on to where the check runs. {then}"
    )


def _unreadable(file: Path, base: Base, error: ConfigurationError) -> Finding:
    return _warning(
        file,
        file.name,
        f"Whether this change loosens a rule cannot be known: the configuration of {base} is wrong: {error.detail}",
        f"Compare the two by eye: `git diff {base.commit[:8]} -- {file.name}`.",
        Rule.CONFIGURATION,
    )


def _warning(file: Path, model: str, detail: str, mend: str, rule: Rule = Rule.BASELINE, *, line: int = 1) -> Finding:
    return Finding(
        check=SUITE,
        model=model,
        rule=rule,
        verdict=Verdict.WARN,
        expected="the baseline of the base",
        file=str(file),
        line=line,
        detail=detail,
        mend=mend,
    )
