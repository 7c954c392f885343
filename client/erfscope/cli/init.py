"""`erfscope init`: the gate for a repository: a configuration, the baseline of its models, and a workflow."""

import os
import sys
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from erfscope._errors import refuse
from erfscope._models import PRESET
from erfscope.cli import options, show
from erfscope.cli.progress import progress_bar

if TYPE_CHECKING:  # the command line starts without the gate
    from erfscope.gate.discovery import Source
    from erfscope.gate.findings import Report

CONFIG, WORKFLOW = Path("erfscope.toml"), Path(".github/workflows/erfscope.yml")
INPUTS = 16

Models = Annotated[
    list[str], Argument(metavar="MODEL…", help="ONNX files, specs (.json) or preset:NAME, each a check of its own.")
]
Inputs = Annotated[
    int | None,
    Option("--inputs", min=1, help="Input samples of each measurement (default 16, or as the configuration has it)."),
]
Force = Annotated[
    bool, Option("--force", help="Write a new configuration and workflow over those that are there (default: off).")
]
Install = Annotated[
    str | None,
    Option(
        "--install",
        metavar="REQUIREMENT",
        help="What pip installs as erfscope in the workflow, such as './vendor/erfscope[local]' "
        "(default: what is installed here, if a checkout can have it).",
    ),
]


def init(
    models: Models, inputs: Inputs = None, url: options.Url = None, install: Install = None, force: Force = False
) -> None:
    """Write erfscope.toml, the baseline of MODEL… and a workflow for GitHub, or add MODEL… to those that are there."""
    from erfscope.gate.judge import tells_of_filling

    source = None if force else _source(Path.cwd())
    added = _not_guarded([_named(one) for one in models], source)
    out = show.console()
    if not added:
        told = _workflow(url, install, force=force) if install else []
        show.print_lines(out, ["Every one of these models has a check already; nothing was added.", *told])
        return
    config, before = (source.file, source.text) if source else (CONFIG, None)
    _write(config, _configuration(added, inputs, source))
    report = _measured(config, added, url)
    if saturated := {one.model for one in report.remarks if one.metric == "erf_size" and tells_of_filling(one)}:
        _write(config, _configuration(added, inputs, source, saturated))
        report = _measured(config, added, url)
    if report.exit_code:
        _restore(config, before)
        show.print_lines(out, [f"{config.name} is as it was before: a check of it could not be measured."])
        sys.exit(report.exit_code)
    told = [f"{model}: erf_size is not watched, because the field fills the input; {config.name} says what to do."
            for model in sorted(saturated)]  # fmt: skip
    show.print_lines(out, [_told(config, added, is_new=source is None), *told, *_workflow(url, install, force=force)])


def _source(folder: Path) -> "Source | None":
    """The configuration of this folder, not of one above it."""
    from erfscope.gate.discovery import ConfigurationError, find

    try:
        source = find(None, folder)
    except ConfigurationError:
        if CONFIG.exists():
            raise
        return None
    return source if source.root == folder else None


def _not_guarded(models: Sequence[str], source: "Source | None") -> list[str]:
    """Those that no check has yet, each once."""
    from erfscope.gate.config import load
    from erfscope.gate.question import subjects

    guarded: set[str] = set()
    if source is not None and source.table.get("check"):
        gate = load(source.file, source.root)
        guarded = {subject.label for check in gate.checks for subject in subjects(gate, check)}
    return [one for one in dict.fromkeys(models) if one not in guarded]


def _configuration(
    models: Sequence[str], inputs: int | None, source: "Source | None", saturated: Collection[str] = frozenset()
) -> str:
    """The text of the configuration with these models in it; what is there stays as it is."""
    from erfscope.gate import starter

    if source is None:
        return starter.configuration(starter.named(models, []), inputs or INPUTS, saturated)
    taken = [str(check.get("name")) for check in source.table.get("check", []) if isinstance(check, dict)]
    more = starter.checks(starter.named(models, taken), source.header, inputs, saturated)
    text = f"{source.text.rstrip()}\n{more}" if source.text.strip() else more.lstrip()
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise refuse(
            "bad-request", f"{source.file} takes no further [[{source.header}]] at its end ({error}); add this:\n{more}"
        ) from None
    return text


def _measured(config: Path, models: Sequence[str], url: str | None) -> "Report":
    """The baseline with these models in it."""
    from erfscope.gate.answers import Means
    from erfscope.gate.cache import Cache, default_folder
    from erfscope.gate.reports import terminal
    from erfscope.gate.run import Options, run

    means = Means(url, Cache(default_folder(os.environ)))
    asked = Options(Path.cwd(), config, tuple(map(Path, models)), update_baseline=True, means=means)
    with progress_bar("measuring", lines=True) as update:
        report = run(asked, lambda model, stage, share: update(f"{model} {stage}", share))
    show.console().print(terminal.render(report))
    return report


def _told(config: Path, models: Sequence[str], *, is_new: bool) -> str:
    return f"wrote {config.name}" if is_new else f"added to {config.name}: a check of {', '.join(models)}"


def _workflow(url: str | None, install: str | None, *, force: bool) -> list[str]:
    """What became of the workflow, and what to do next, in lines."""
    from erfscope.gate import starter

    if WORKFLOW.exists() and not force:
        return [_kept(install), "Commit these files; then try `erfscope check`."]
    origin = starter.origin(Path.cwd(), with_engine=url is None, asked=install)
    _write(WORKFLOW, starter.workflow(WORKFLOW, origin, url, os.environ))
    lines = [f"wrote {WORKFLOW}", "Commit these files; then try `erfscope check`."]
    if not origin.is_known:
        lines.append(
            f"Before you push: erfscope was installed here from a folder that no runner has. Write into ERFSCOPE of "
            f"{WORKFLOW} what pip shall install there, or call `erfscope init` with --install."
        )
    if url is None and not os.environ.get(starter.INDEX_VARIABLE):
        lines.append(
            f"The variable {starter.INDEX_VARIABLE} of the repository on GitHub should name PyTorch's index of CPU "
            f"wheels: {WORKFLOW} says why."
        )
    return lines


def _kept(install: str | None) -> str:
    """Of the workflow that is there `--install` changes what pip installs, and nothing else."""
    from erfscope.gate import starter

    if install is None:
        return f"kept {WORKFLOW} as it is"
    text = WORKFLOW.read_text("utf-8")
    changed = starter.reinstalled(text, starter.origin(Path.cwd(), with_engine=True, asked=install))
    if changed is None:
        return (
            f"kept {WORKFLOW} as it is: it has no line ERFSCOPE that --install could change. Write {install} into it "
            "where pip installs erfscope, or call `erfscope init` with --force for a new one."
        )
    _write(WORKFLOW, changed)
    return f"wrote {install} into ERFSCOPE of {WORKFLOW}"


def _named(model: str) -> str:
    """As the configuration names it: relative to its folder, which is this one."""
    if model.startswith(PRESET):
        return model
    if not Path(model).is_file():
        raise refuse("bad-request", f"there is no file {model}; give ONNX files, specs (.json) or preset:NAME")
    return Path(os.path.relpath(model)).as_posix()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _restore(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.write_text(text, "utf-8")
