"""The `erfscope` command: its subcommands, and the one place where errors become messages and exit codes."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from erfscope.cli.advise import advise
from erfscope.cli.check import check
from erfscope.cli.command import PlainCommand
from erfscope.cli.compare import compare
from erfscope.cli.failure import report
from erfscope.cli.fit import fit
from erfscope.cli.jobs import jobs
from erfscope.cli.keys import keys
from erfscope.cli.layers import layers
from erfscope.cli.measure import measure
from erfscope.cli.output import forgiving
from erfscope.cli.presets import presets
from erfscope.cli.reproduce import reproduce
from erfscope.cli.series import series
from erfscope.cli.serve import serve
from erfscope.cli.tiles import tiles
from erfscope.cli.up import up
from erfscope.cli.version import version
from erfscope.cli.worker import worker

EXIT_CODES = (
    "Exit codes: 0 done; 1 a rule of `check` does not hold; 2 usage, bad input or model; 3 service or job failure; "
    "130 Ctrl-C."
)

app = typer.Typer(
    name="erfscope",
    help=f"What a network really sees: receptive fields of ONNX models and specs.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: tuple[Callable[..., Any], ...] = (
    measure,
    layers,
    compare,
    check,
    advise,
    tiles,
    fit,
    presets,
    series,
    reproduce,
    jobs,
    up,
    serve,
    worker,
    version,
)
for command in COMMANDS:
    app.command(epilog=EXIT_CODES, cls=PlainCommand)(command)
app.add_typer(keys, epilog=EXIT_CODES)


def main() -> None:
    """Run a command; what goes wrong is one readable block on stderr and an exit code."""
    sys.stdout = forgiving(sys.stdout)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # the last line of defence: the user gets words, not a traceback
        sys.exit(report(error))
