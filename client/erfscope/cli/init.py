"""`erfscope init`: the gate for a repository: a configuration, the baseline of its models, and a workflow."""

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from erfscope._errors import refuse
from erfscope._models import PRESET
from erfscope.cli import options, show
from erfscope.cli.progress import progress_bar
from erfscope_contract.request import ErfRequest, Weights

if TYPE_CHECKING:  # the command line starts without the gate
    from erfscope.gate.discovery import Source
    from erfscope.gate.findings import Report
    from erfscope.gate.starter import Plan

CONFIG, WORKFLOW = Path("erfscope.toml"), Path(".github/workflows/erfscope.yml")
INPUTS = 16  # of a first measurement
ROUNDS = 6  # of measuring at most: what limits the field, and how many inputs are enough, may take some

Models = Annotated[
    list[str],
    Argument(
        metavar="MODEL…",
        help="ONNX files, specs (.json), preset:NAME, or a pattern in quotes, such as 'models/*.onnx'; each a check.",
    ),
]
Inputs = Annotated[
    int | None,
    Option(
        "--inputs",
        min=1,
        help="Input samples of each measurement, with --weights draws of the weights (default: 16, or as the "
        "configuration has it, or as many more as a model's drift limit needs).",
    ),
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


Drawn = Annotated[
    Weights | None,
    Option(
        "--weights",
        metavar="SCHEME",
        parser=options.weights_of,
        help="Weights of each check: given (the file's own, so that a model that is trained again needs a new "
        "baseline) or random, or another scheme to draw them by, which guards the architecture alone (default: given).",
    ),
]


def init(
    models: Models,
    inputs: Inputs = None,
    weights: Drawn = None,
    url: options.Url = None,
    install: Install = None,
    force: Force = False,
) -> None:
    """Write erfscope.toml, the baseline of MODEL… and a workflow for GitHub, or add MODEL… to those that are there."""
    from erfscope.gate import starter

    source = None if force else _source(Path.cwd())
    config = source.file if source else CONFIG
    baseline = _baseline(config, source)
    added = _not_guarded({name: _files(name, baseline) for name in map(_named, models)}, source)
    out = show.console()
    if not added:
        lines = _workflow(url, install, force=force) if install else []
        already = ["Every one of these models has a check already; nothing was added.", *_for_later(models, config)]
        show.print_lines(out, [*already, *lines])
        return
    before = _contents(config, baseline)
    plans = _first(list(added), inputs, weights, is_new=source is None)
    text = _configuration(list(added), inputs, source, plans)
    for _ in range(ROUNDS):
        _restore(before)  # or the report would compare with the first baseline
        _write(config, text)
        report = _measured(config, added, url)
        if report.exit_code:
            break
        plans = _plans(report, config, added, plans, is_fixed=bool(inputs))
        written, text = text, _configuration(list(added), inputs, source, plans)
        if text == written:
            break
    if report.exit_code:
        _restore(before)
        show.print_lines(out, [*_troubles(report), "No file was changed."])
        sys.exit(report.exit_code)
    _show(report)
    usual = starter.USUAL.drift
    lines = [f"{name}: erf_size is not watched, because {reason}: see the comment in {config.name}."
             for name, plan in sorted(plans.items()) if (reason := plan.limit)]  # fmt: skip
    lines += [f"{name}: {plan.samples} {plan.unit}, so that chance does not hide a drift of {plan.drift}: see the "
              f"comment in {config.name}." for name, plan in sorted(plans.items()) if plan.before]  # fmt: skip
    lines += [f"{name}: the drift limit is {plan.drift}: see the comment in {config.name}."
              for name, plan in sorted(plans.items()) if plan.drift != usual]  # fmt: skip
    lines = [_added(config, list(added), is_new=source is None), *lines, *_later(list(added))]
    show.print_lines(out, [*lines, *_workflow(url, install, force=force)])


def _first(models: Sequence[str], inputs: int | None, weights: Weights | None, *, is_new: bool) -> "Mapping[str, Plan]":
    """How each model is measured at first; inputs of a new configuration are its default."""
    from erfscope.gate.starter import Plan

    if weights is not None and weights is not Weights.GIVEN:
        return {name: Plan(inputs or INPUTS, weights) for name in models}
    return {name: Plan(inputs) for name in models} if inputs and not is_new else {}


def _for_later(models: Sequence[str], config: Path) -> list[str]:
    """How a pattern of which every file has a check guards the models that are added later."""
    patterns = [name for name in map(_named, models) if any(sign in name for sign in "*?[")]
    return [
        f"To guard models that are added later, write model = {pattern!r} in one check of {config.name}, in place of "
        "the checks that name these files, and run erfscope check --update-baseline."
        for pattern in patterns
    ]


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


def _baseline(config: Path, source: "Source | None") -> Path:
    """The baseline that this configuration names."""
    from erfscope.gate.config import BASELINE

    return config.parent / str((source.table if source else {}).get("baseline", BASELINE))


def _not_guarded(models: Mapping[str, Sequence[str]], source: "Source | None") -> dict[str, Sequence[str]]:
    """Those that have a file which no check has yet, with their files."""
    from erfscope.gate.config import load
    from erfscope.gate.question import subjects

    guarded: set[str] = set()
    if source is not None and source.table.get("check"):
        gate = load(source.file, source.root)
        guarded = {subject.label for check in gate.checks for subject in subjects(gate, check)}
    return {name: files for name, files in models.items() if not guarded.issuperset(files)}


def _configuration(
    models: Sequence[str], inputs: int | None, source: "Source | None", plans: "Mapping[str, Plan]"
) -> str:
    """The text of the configuration with these models in it; what is there stays as it is."""
    from erfscope.gate import starter

    if source is None:
        return starter.configuration(starter.named(models, []), inputs or INPUTS, plans)
    taken = [str(check.get("name")) for check in source.table.get("check", []) if isinstance(check, dict)]
    more = starter.checks(starter.named(models, taken), source.header, plans, _default(source))
    text = f"{source.text.rstrip()}\n{more}" if source.text.strip() else more.lstrip()
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise refuse(
            "bad-request", f"{source.file} takes no further [[{source.header}]] at its end ({error}); add this:\n{more}"
        ) from None
    return text


def _default(source: "Source") -> int:
    """The number of inputs that a configuration has for all its checks."""
    return int(source.table.get("defaults", {}).get("inputs", ErfRequest().average.inputs))


def _plans(
    report: "Report", config: Path, models: Mapping[str, Sequence[str]], plans: "Mapping[str, Plan]", *, is_fixed: bool
) -> "Mapping[str, Plan]":
    """What a run of the models tells of how each should be measured and watched; the same where that is settled."""
    from erfscope.gate.limited import by_chance, limits
    from erfscope.gate.sampling import noises
    from erfscope.gate.starter import Plan

    used = _samples(config, plans)
    samples = {file: used[name] for name, files in models.items() for file in files}
    limited, noise = {**({} if is_fixed else by_chance(report, samples)), **limits(report)}, noises(report)
    result = {}
    for name, files in models.items():
        plan = plans.get(name, Plan())
        limit = plan.limit or next((limited[one] for one in files if one in limited), None)
        worst = max((noise[one] for one in files if one in noise), key=lambda one: one.share, default=None)
        enough = used[name] if is_fixed or limit != plan.limit or worst is None else worst.enough(used[name])
        plan = replace(plan, limit=limit, noise=worst)
        if enough > used[name]:
            plan = replace(plan, samples=enough, first=plan.first or used[name], before=plan.before or worst)
        result[name] = plan
    return result


def _samples(config: Path, plans: "Mapping[str, Plan]") -> dict[str, int]:
    """Of each model or pattern of a configuration, its inputs, or its draws where a plan has the weights drawn."""
    from erfscope.gate.config import load
    from erfscope.gate.starter import USUAL

    return {
        model: average.weights if plans.get(model, USUAL).is_drawn else average.inputs
        for check in load(config, Path.cwd()).checks
        for model in check.models
        for average in (check.request.average,)
    }


def _measured(config: Path, models: Mapping[str, Sequence[str]], url: str | None) -> "Report":
    """The baseline with these models in it."""
    from erfscope.gate.answers import Means
    from erfscope.gate.cache import Cache, default_folder
    from erfscope.gate.run import Options, run

    means = Means(url, Cache(default_folder(os.environ)))
    paths = tuple(Path(one) for files in models.values() for one in files)
    with progress_bar("measuring", lines=True) as update:
        return run(
            Options(Path.cwd(), config, paths, update_baseline=True, means=means),
            lambda model, stage, share: update(f"{model} {stage}", share),
        )


def _show(report: "Report") -> None:
    from erfscope.gate.reports import terminal

    show.console().print(terminal.render(report))


def _troubles(report: "Report") -> list[str]:
    """What went wrong, without the lines of a configuration that is not there any more."""
    return [
        " ".join(filter(None, (f"{one.model}:" if one.model else "", one.told, one.mend))) for one in report.trouble
    ]


def _added(config: Path, models: Sequence[str], *, is_new: bool) -> str:
    return f"wrote {config.name}" if is_new else f"added to {config.name}: a check of {', '.join(models)}"


def _later(models: Sequence[str]) -> list[str]:
    """What becomes of models that are added later: a check that names a file does not guard them."""
    from erfscope.gate.question import WILD, is_file_name

    files = [Path(one) for one in models if is_file_name(one) and not WILD.search(one)]
    if not files:
        return []
    line = "A model that is added later has no check: call `erfscope init` with it"
    # Beside the configuration other JSON files are likely, which are no specs.
    folders = [one for one in files if one.suffix == ".onnx" or one.parent != Path()]
    patterns = dict.fromkeys(f'"{(one.parent / f"*{one.suffix}").as_posix()}"' for one in folders)
    return [f"{line}, or write a pattern into a check: model = {' or '.join(patterns)}" if patterns else f"{line}."]


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
    return model if model.startswith(PRESET) else Path(os.path.relpath(model)).as_posix()


def _files(name: str, baseline: Path) -> list[str]:
    """The models that a check of this name finds; refused where there is none."""
    from erfscope.gate.question import WILD, beside, like, matched

    try:
        files = [one.label for one in matched(Path.cwd(), baseline.absolute(), name)]
    except ValueError as error:  # a pattern that is none
        raise refuse("bad-request", f"{name}: {error}") from None
    if files:
        return files
    if WILD.search(name):
        raise refuse("bad-request", f"{name} matches no ONNX file and no spec (.json)")
    advice = like(name, beside(Path.cwd(), name)) or "give ONNX files, specs (.json) or preset:NAME"
    raise refuse("bad-request", f"there is no file {name}; {advice}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _contents(*paths: Path) -> dict[Path, bytes | None]:
    """What is in these files; None of one that is not there."""
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def _restore(contents: Mapping[Path, bytes | None]) -> None:
    for path, content in contents.items():
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content)
