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
from erfscope.cli import options, repository, show
from erfscope.cli.progress import progress_bar
from erfscope_contract.request import ErfRequest, Weights

if TYPE_CHECKING:  # the command line starts without the gate
    from erfscope.gate.config import Check
    from erfscope.gate.discovery import Source
    from erfscope.gate.findings import Report
    from erfscope.gate.starter import Plan

CONFIG = Path("erfscope.toml")
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
    """Write erfscope.toml, the baseline of MODEL… and a workflow for GitHub, or add MODEL… to those that are there.

    With --weights, a check that is there already is converted: its weights and the number of its samples change.
    """
    from erfscope.gate import starter

    source = None if force else _source(Path.cwd())
    config = source.file if source else CONFIG
    baseline = _baseline(config, source)
    asked = {name: _files(name, baseline) for name in map(_named, models)}
    added = _not_guarded(asked, source)
    checks = _converted({name: files for name, files in asked.items() if name not in added}, source, weights)
    out = show.console()
    if not added and not checks:
        lines = repository.workflow(url, install, force=force) if install else []
        show.print_lines(out, [*_already(inputs, weights), *_for_later(models, config), *lines])
        return
    before = _contents(config, baseline)
    start = {**before, **({baseline: None} if force else {})}  # a new configuration has nothing of the old baseline
    measured = {**added, **{check.models[0]: files for check, files in checks.values()}}
    plans = _first(list(measured), inputs, weights, is_new=source is None)
    text = _configuration(list(added), inputs, source, plans, checks)
    for _ in range(ROUNDS):
        _restore(start)  # or the report would compare with the first baseline
        repository.write(config, text)
        report = _measured(config, measured, url)
        if report.exit_code:
            break
        plans = _plans(report, config, measured, plans, is_fixed=bool(inputs))
        written, text = text, _configuration(list(added), inputs, source, plans, checks)
        if text == written:
            break
    if report.exit_code:
        _restore(before)
        show.print_lines(out, [*_troubles(report), "No file was changed."])
        sys.exit(report.exit_code)
    _show(report)
    usual = starter.USUAL.drift
    lines = [f"{name}: erf_size is not watched, because {reason}: see the comment in {config.name}."
             for name, plan in sorted(plans.items()) if (reason := plan.limit) and name in added]  # fmt: skip
    lines += [f"{name}: {plan.samples} {plan.unit}, so that chance does not hide a drift of {plan.drift}: see the "
              f"comment in {config.name}." for name, plan in sorted(plans.items()) if plan.before]  # fmt: skip
    lines += [f"{name}: the drift limit is {plan.drift}: see the comment in {config.name}."
              for name, plan in sorted(plans.items()) if plan.drift != usual and name in added]  # fmt: skip
    changes = [f"converted in {config.name}: the check {check.name!r} has weights = {str(weights)!r} now"
               for check, _ in checks.values()]  # fmt: skip
    if added:
        changes.append(_added(config, list(added), is_new=source is None, is_over=before[config] is not None))
    lines = [*changes, *lines, *_later(list(added))]
    lines += repository.attributes([file for files in measured.values() for file in files])
    lines += repository.workflow(url, install, force=force)
    show.print_lines(out, [*lines, repository.to_commit(Path(config.name), Path(os.path.relpath(baseline)))])


def _first(models: Sequence[str], inputs: int | None, weights: Weights | None, *, is_new: bool) -> "Mapping[str, Plan]":
    """How each model is measured at first; inputs of a new configuration are its default."""
    from erfscope.gate.starter import Plan

    if weights is not None and weights is not Weights.GIVEN:
        return {name: Plan(inputs or INPUTS, weights) for name in models}
    return {name: Plan(inputs) for name in models} if inputs and not is_new else {}


def _converted(
    asked: Mapping[str, Sequence[str]], source: "Source | None", weights: Weights | None
) -> "dict[int, tuple[Check, list[str]]]":
    """The checks that are there already and get other weights, by their place, with the files that each guards."""
    from erfscope.gate.config import gate_of
    from erfscope.gate.conversion import convertible
    from erfscope.gate.question import subjects

    if source is None or weights is None or not asked:
        return {}
    gate = gate_of(source)
    files = [file for files in asked.values() for file in files]
    checks = {check.index: check for one in asked.values() for check in convertible(gate, one, files, weights)}
    return {place: (check, [one.label for one in subjects(gate, check)]) for place, check in checks.items()}


def _already(inputs: int | None, weights: Weights | None) -> list[str]:
    """That there is nothing to do; refused where an option asks for something that `init` does not change."""
    if inputs is not None:
        raise refuse(
            "bad-request",
            "every one of these models has a check already, and --inputs changes none: write the number into the check "
            "and run `erfscope check --update-baseline`, or call `erfscope init` with --force for a new configuration",
        )
    now = f", with weights = {str(weights)!r}" if weights else ""
    return [f"Every one of these models has a check already{now}; nothing was added."]


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
    models: Sequence[str],
    inputs: int | None,
    source: "Source | None",
    plans: "Mapping[str, Plan]",
    checks: "Mapping[int, tuple[Check, Sequence[str]]]",
) -> str:
    """The text of the configuration with these models in it and these checks converted; all else stays as it is."""
    from erfscope.gate import starter
    from erfscope.gate.conversion import converted

    if source is not None and checks:
        changes = {place: plans.get(check.models[0], starter.USUAL) for place, (check, _) in checks.items()}
        source = replace(source, text=converted(source, changes, _default(source)))
    if source is not None and not models:
        return source.text
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


def _added(config: Path, models: Sequence[str], *, is_new: bool, is_over: bool) -> str:
    if is_new:
        return f"wrote {config.name} over the one that was there" if is_over else f"wrote {config.name}"
    return f"added to {config.name}: a check of {', '.join(models)}"


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


def _contents(*paths: Path) -> dict[Path, bytes | None]:
    """What is in these files; None of one that is not there."""
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def _restore(contents: Mapping[Path, bytes | None]) -> None:
    for path, content in contents.items():
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content)
