"""What a branch changes in the baseline: without this, a pull request that re-baselines a model passes silently."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from erfscope.gate.baseline import Baseline, parse
from erfscope.gate.discovery import ConfigurationError
from erfscope.gate.findings import Finding, Rule, Verdict
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
MERGE = "refs/pull/"  # GITHUB_REF of a pull request, which is a merge: its first parent is the base


@dataclass(frozen=True)
class Base:
    """The commit that a branch is compared with, and what people call it."""

    name: str
    commit: str

    def __str__(self) -> str:
        return f"{self.name} ({self.commit[:8]})"


def rebaselined(file: Path, now: Baseline, asked: str | None, environment: Mapping[str, str]) -> list[Finding]:
    """A warning for each model whose entry differs from the base's, or one that it cannot be known.

    `asked` is the base that the command line names; without one the variables of a forge do. Nothing without either.
    Raises ConfigurationError for an asked one that is not there.
    """
    name = asked or next((environment[one] for one in BRANCHES if environment.get(one)), "")
    if not name:
        return []
    base = _base(file, name, {} if asked else environment)
    if base is None:
        is_shallow = _git(file, "rev-parse", "--is-shallow-repository") == "true"
        if asked and not is_shallow:
            raise ConfigurationError(file, f"--base {asked}: git knows no commit of that name here")
        return [_unknown(file, name, is_shallow=is_shallow)]
    return list(_changed(file, now, base))


def _base(file: Path, name: str, environment: Mapping[str, str]) -> Base | None:
    """The first that git knows: the commit of a forge, the place where the branch began, or the tip of the base."""
    if commit := _commit(file, environment.get(COMMIT, "")):
        return Base(name, commit)
    if environment.get("GITHUB_REF", "").startswith(MERGE) and _commit(file, "HEAD^2"):
        return Base(name, _commit(file, "HEAD^1"))
    for ref in (f"origin/{name}", name):
        if tip := _commit(file, ref):
            return Base(name, _git(file, "merge-base", "HEAD", tip) or tip)
    return None


def _changed(file: Path, now: Baseline, base: Base) -> Iterator[Finding]:
    content = _git(file, "show", f"{base.commit}:./{file.name}")
    if not content:  # the base has no baseline: nothing is replaced
        return
    for one in differences(parse(file, content.encode()), now):
        if not one.is_new:
            yield _warning(
                file,
                one.model,
                f"This change re-baselines the model. Against {base}: {one.words}.",
                "The rules above were judged against the new values. If this is meant, approve it with the review; "
                f"otherwise restore the model, and the old values by `git checkout {base.commit[:8]} -- {file.name}`.",
            )


def _unknown(file: Path, name: str, *, is_shallow: bool) -> Finding:
    why = "this clone is shallow and lacks that commit" if is_shallow else "git does not know that branch here"
    if shutil.which("git") is None:
        why = "git is not installed here"
    return _warning(
        file,
        file.name,
        f"Whether this change re-baselines a model of {name} cannot be known: {why}.",
        "Fetch the base as well: in a workflow `fetch-depth: 2` of actions/checkout, elsewhere `git fetch origin "
        f"{name}`; or name a commit that is there by --base.",
        Rule.CONFIGURATION,
    )


def _warning(file: Path, model: str, detail: str, mend: str, rule: Rule = Rule.BASELINE) -> Finding:
    return Finding(
        check=SUITE,
        model=model,
        rule=rule,
        verdict=Verdict.WARN,
        expected="the baseline of the base",
        file=str(file),
        line=line_of_model(file, model),
        detail=detail,
        mend=mend,
    )


def _commit(file: Path, ref: str) -> str:
    """Its full name; empty where git does not have it."""
    return _git(file, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}") if ref else ""


def _git(file: Path, *words: str) -> str:
    """What git answers in the folder of a file; empty where it cannot."""
    try:
        done = subprocess.run(
            ["git", "-C", str(file.parent), *words], capture_output=True, text=True, encoding="utf-8", check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
