"""What `erfscope init` writes for Git and for GitHub, beside the configuration and its baseline."""

import os
from collections.abc import Sequence
from pathlib import Path

WORKFLOW, ATTRIBUTES = Path(".github/workflows/erfscope.yml"), Path(".gitattributes")
BINARY = (".onnx", ".onnx.data")  # Git would merge them as text, line by line, which no model survives


def write(path: Path, text: str) -> None:
    """Write a file of the repository, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def attributes(files: Sequence[str]) -> list[str]:
    """Tell Git that ONNX files are not text, unless `.gitattributes` has a line about them; what was done, in lines."""
    if not any(file.endswith(BINARY[0]) for file in files):
        return []
    text = ATTRIBUTES.read_text("utf-8") if ATTRIBUTES.exists() else ""
    known = [words[0] for line in text.splitlines() if (words := line.split()) and not words[0].startswith("#")]
    missing = [suffix for suffix in BINARY if not any(pattern.endswith(suffix) for pattern in known)]
    if not missing:
        return []
    write(ATTRIBUTES, (text and f"{text.rstrip()}\n") + "".join(f"*{suffix} binary\n" for suffix in missing))
    patterns = " and ".join(f"*{suffix}" for suffix in missing)
    return [f"{'added to' if text else 'wrote'} {ATTRIBUTES}: Git does not merge {patterns} as text"]


def workflow(url: str | None, install: str | None, *, force: bool) -> list[str]:
    """What became of the workflow, and what to do next, in lines."""
    from erfscope.gate import workflow as workflows

    if WORKFLOW.exists() and not force:
        return [_kept(install)]
    origin = workflows.origin(Path.cwd(), with_engine=url is None, asked=install)
    text = workflows.workflow(WORKFLOW, origin, url, os.environ)
    lines = [_written(text)]
    if not origin.is_known:
        lines.append(
            f"Before you push: erfscope was installed here from a folder that no runner has. Write into ERFSCOPE of "
            f"{WORKFLOW} what pip shall install there, or call `erfscope init` with --install."
        )
    if url is None and not os.environ.get(workflows.INDEX_VARIABLE):
        lines.append(
            f"The variable {workflows.INDEX_VARIABLE} of the repository on GitHub should name PyTorch's index of CPU "
            f"wheels: {WORKFLOW} says why."
        )
    return lines


def _written(text: str) -> str:
    """Write the workflow, and tell if another one was there: `--force` takes the edits of a team with it."""
    former = WORKFLOW.read_text("utf-8") if WORKFLOW.exists() else text
    write(WORKFLOW, text)
    if former == text:
        return f"wrote {WORKFLOW}"
    WORKFLOW.with_suffix(".yml.orig").write_text(former, "utf-8")
    return f"wrote {WORKFLOW} over one that was other; that one is {WORKFLOW}.orig now: take your edits from it"


def _kept(install: str | None) -> str:
    """Of the workflow that is there `--install` changes what pip installs, and nothing else."""
    from erfscope.gate import workflow as workflows

    if install is None:
        return f"kept {WORKFLOW} as it is"
    text = WORKFLOW.read_text("utf-8")
    changed = workflows.reinstalled(text, workflows.origin(Path.cwd(), with_engine=True, asked=install))
    if changed is None:
        return (
            f"kept {WORKFLOW} as it is: it has no line ERFSCOPE that --install could change. Write {install} into it "
            "where pip installs erfscope, or call `erfscope init` with --force for a new one."
        )
    write(WORKFLOW, changed)
    return f"wrote {install} into ERFSCOPE of {WORKFLOW}"


def to_commit(config: Path, baseline: Path) -> str:
    """What to do with the files of the gate that are there."""
    *most, last = [one.as_posix() for one in (config, baseline, ATTRIBUTES, WORKFLOW) if one.exists()]
    return f"Commit {', '.join(most)} and {last}; then try `erfscope check`."
