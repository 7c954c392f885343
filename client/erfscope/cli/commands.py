"""The `erfscope` command: its subcommands, and the one place where errors become messages and exit codes.

A command's file is imported when the command is called, so that `erfscope version` does not wait for the others'.
"""

import os
import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

import typer

from erfscope.cli.command import PlainCommand
from erfscope.cli.output import forgiving

EXIT_CODES = (
    "Exit codes: 0 done; 1 a rule of `check` does not hold; 2 usage, bad input or model; 3 service or job failure; "
    "130 Ctrl-C."
)
# Each is a function, or a group of commands, of this name in the file of this name.
COMMANDS = ("measure", "layers", "compare", "check", "advise", "tiles", "fit", "presets", "series", "reproduce", "jobs",
            "up", "serve", "worker", "version", "keys")  # fmt: skip
COMPLETION = "_ERFSCOPE_COMPLETE"  # set while a shell asks what could follow


def assembled(names: Iterable[str]) -> typer.Typer:
    """The command with these subcommands."""
    group = typer.Typer(
        name="erfscope",
        help=f"What a network really sees: receptive fields of ONNX models and specs.\n\n{EXIT_CODES}",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    group.callback()(_nothing)  # without it a single subcommand would be taken for the whole
    for name in names:
        command = getattr(import_module(f"erfscope.cli.{name}"), name)
        if isinstance(command, typer.Typer):
            group.add_typer(command, epilog=EXIT_CODES)
        else:
            group.command(epilog=EXIT_CODES, cls=PlainCommand)(command)
    return group


def _nothing() -> None:
    pass


@cache
def _all() -> typer.Typer:
    return assembled(COMMANDS)


def __getattr__(name: str) -> Any:
    """`app`: with all subcommands."""
    if name == "app":
        return _all()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run a command; what goes wrong is one readable block on stderr and an exit code."""
    sys.stdout = forgiving(sys.stdout)
    asked = sys.argv[1:2]
    alone = asked[0] in COMMANDS if asked and COMPLETION not in os.environ else False
    try:
        (assembled(asked) if alone else _all())()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # the last line of defence: the user gets words, not a traceback
        from erfscope.cli.failure import report

        sys.exit(report(error))
