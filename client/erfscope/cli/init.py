"""`erfscope init`: the gate for a repository: a configuration, the baseline of its models, and a workflow."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from erfscope._errors import refuse
from erfscope._models import PRESET
from erfscope.cli import options, show
from erfscope.cli.progress import progress_bar
from erfscope_contract.version import __version__

CONFIG, WORKFLOW = Path("erfscope.toml"), Path(".github/workflows/erfscope.yml")
HEAD = "# Receptive fields that this repository keeps. A metric without min and max is watched for drift alone.\n"
CHECK = """
[[check]]
name = {name}
model = {model}
trf_size = {{}}
erf_size = {{}}
mass_50_side = {{}}
drift = {{ max = "5%" }}
"""
STEPS = """\
name: receptive fields
on: [pull_request]
permissions:
  contents: read
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5.0.0
      - uses: actions/setup-python@v6.0.0
        with:
          python-version: "3.12"
      - uses: actions/cache@v4.3.0
        with:
          path: ~/.cache/erfscope
          key: erfscope-${{ github.sha }}
          restore-keys: erfscope-
      - run: python -m pip install 'erfscope[local]==VERSION'
      - run: erfscope check --junit erfscope-reports/erfscope.xml --pictures erfscope-reports/pictures
      - if: always()
        uses: actions/upload-artifact@v4.6.2
        with:
          name: erfscope-reports
          path: erfscope-reports
"""

Models = Annotated[
    list[str], Argument(metavar="MODEL…", help="ONNX files, specs (.json) or preset:NAME, each a check of its own.")
]
Inputs = Annotated[int, Option("--inputs", min=1, help="Input samples of each measurement (default 16).")]
Force = Annotated[bool, Option("--force", help="Write over files that are there already (default: they are kept).")]


def init(models: Models, inputs: Inputs = 16, url: options.Url = None, force: Force = False) -> None:
    """Write erfscope.toml, the baseline of MODEL… and a workflow for GitHub: `erfscope check` then guards them."""
    from erfscope.gate.answers import Means
    from erfscope.gate.cache import Cache, default_folder
    from erfscope.gate.reports import terminal
    from erfscope.gate.run import Options, run

    if not force and (there := [str(path) for path in (CONFIG, WORKFLOW) if path.exists()]):
        raise refuse("bad-request", f"{' and '.join(there)}: there already. --force writes over it.")
    _write(CONFIG, _configuration(models, inputs))
    asked = Options(Path.cwd(), CONFIG, update_baseline=True, means=Means(url, Cache(default_folder(os.environ))))
    with progress_bar("measuring", lines=True) as update:
        report = run(asked, lambda model, stage, share: update(f"{model} {stage}", share))
    out = show.console()
    out.print(terminal.render(report))
    if report.exit_code == 0:
        _write(WORKFLOW, STEPS.replace("VERSION", __version__))
        show.print_lines(
            out, [f"wrote {CONFIG}", f"wrote {WORKFLOW}", "Commit these files; then try `erfscope check`."]
        )
    sys.exit(report.exit_code)


def _configuration(models: Sequence[str], inputs: int) -> str:
    """The TOML; JSON's strings are strings of TOML as well."""
    checks = [CHECK.format(name=json.dumps(Path(one).stem), model=json.dumps(_named(one))) for one in models]
    return "".join((HEAD, f"\n[defaults]\ninputs = {inputs}\n", *checks))


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
