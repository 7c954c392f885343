"""What git knows of the repository that a file is in, and why it does not answer."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Refusal:
    """Why git does not answer here, and what to do."""

    why: str
    mend: str


def answer(file: Path, *words: str) -> str:
    """What git prints in the folder of a file; empty if it cannot answer."""
    code, out, _ = _run(file, *words)
    return out.strip() if code == 0 else ""


def commit_of(file: Path, ref: str) -> str:
    """The full name of a commit; empty if git does not have it."""
    return answer(file, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}") if ref else ""


def content_at(file: Path, commit: str) -> bytes:
    """The bytes of a file as a commit has it; empty if it does not have the file."""
    return answer(file, "show", f"{commit}:./{file.name}").encode()


def is_shallow(file: Path) -> bool:
    """Whether the repository was cloned without its older commits."""
    return answer(file, "rev-parse", "--is-shallow-repository") == "true"


def refusal(file: Path) -> Refusal | None:
    """Why git answers nothing at all in the folder of a file; None if it does."""
    if shutil.which("git") is None:
        return Refusal("git is not installed here", "Install git where the check runs.")
    code, _, error = _run(file, "rev-parse", "--git-dir")
    if code == 0:
        return None
    if "dubious ownership" in error:
        folder = re.search(r"safe\.directory\s+(\S.*)", error)
        return Refusal(
            "git does not read this repository, because its folder belongs to another user (dubious ownership)",
            f"Run `git config --global --add safe.directory {folder[1].strip() if folder else file.parent}` before the "
            "check; this is usual where a container has the checkout.",
        )
    first = next(iter(error.splitlines()), "").removeprefix("fatal: ")
    return Refusal(f"git answers: {first or f'exit code {code}'}", "Run the check in a checkout by git.")


def _run(file: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; a git that is not installed has code 127, as in a shell."""
    try:
        done = subprocess.run(
            ["git", "-C", str(file.parent), *words],
            capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return 127, "", ""
    return done.returncode, done.stdout, done.stderr
