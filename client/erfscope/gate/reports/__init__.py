"""A report in the forms that people and machines read, and what they share: signs of verdicts, paths of a forge."""

import os
from collections.abc import Mapping
from pathlib import Path

from erfscope.gate.findings import Report, Verdict

SIGNS: Mapping[Verdict, str] = {Verdict.PASS: "✓", Verdict.WARN: "!", Verdict.FAIL: "✗", Verdict.BROKEN: "✗"}


def relative(file: str, environment: Mapping[str, str]) -> str:
    """A path as the forge knows it: from the root of its checkout, or from the working folder."""
    root = environment.get("GITHUB_WORKSPACE") or environment.get("CI_PROJECT_DIR") or os.getcwd()
    path = Path(file)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def within(file: str, report: Report) -> str:
    """A path as everybody has it who has the repository: from the folder of the configuration."""
    root, path = Path(report.config).parent, Path(file)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
