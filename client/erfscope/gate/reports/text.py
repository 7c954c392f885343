"""What every form does to text that comes from a model or a configuration."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from erfscope.gate.findings import Verdict

# Escape sequences would paint a terminal, a line break would start a workflow command or a table row, and marks of
# writing direction would turn words around.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
SIGNS: Mapping[Verdict, str] = {Verdict.PASS: "✓", Verdict.WARN: "!", Verdict.FAIL: "✗", Verdict.BROKEN: "✗"}


def plain(text: str) -> str:
    """Without control characters; line breaks become spaces."""
    return CONTROL.sub("�", text.replace("\r\n", "\n").replace("\n", " ").replace("\t", " "))


def relative(file: str, environment: Mapping[str, str]) -> str:
    """A path as the forge knows it: from the root of its checkout, or from the working folder."""
    root = environment.get("GITHUB_WORKSPACE") or environment.get("CI_PROJECT_DIR") or os.getcwd()
    path = Path(file)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
