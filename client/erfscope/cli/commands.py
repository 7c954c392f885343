"""The `erfscope` command: its subcommands, and the one place where errors become messages and exit codes.

A command's file is imported when the command is called, so that `erfscope version` does not wait for the others'. Other
packages add commands by entry points of group `erfscope.commands` (`up`, `serve` …).
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer

from erfscope.cli.command import PlainCommand
from erfscope.cli.output import forgiving
from erfscope_contract.importing import claim_process, uncollected
from erfscope_contract.version import __version__

EXIT_CODES = (
    "Exit codes: 0 done; 1 a rule of `check` does not hold; 2 usage, bad input or model; 3 service or job failure; "
    "130 Ctrl-C."
)
# Each is a function, or a group of commands, of this name in the file of this name.
COMMANDS = (
    "measure",
    "layers",
    "compare",
    "check",
    "init",
    "history",
    "advise",
    "tiles",
    "fit",
    "presets",
    "series",
    "jobs",
    "version",
)
GROUP = "erfscope.commands"
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
        command = _command(name)
        if isinstance(command, typer.Typer):
            group.add_typer(command, epilog=EXIT_CODES)
        else:
            group.command(name, epilog=EXIT_CODES, cls=PlainCommand)(command)
    return group


def _command(name: str) -> Callable[..., Any] | typer.Typer:
    """The command of that name, ours or another package's."""
    if name in COMMANDS:
        ours: Callable[..., Any] = getattr(import_module(f"erfscope.cli.{name}"), name)
        return ours
    offered = offered_commands()[name]
    try:
        theirs: Callable[..., Any] = offered.load()
    except ModuleNotFoundError as error:
        return _lacking(error)
    return theirs


@cache
def offered_commands() -> Mapping[str, EntryPoint]:
    """The commands of other packages, by name; finding them reads what is installed, so `COMMANDS` come first."""
    return {offered.name: offered for offered in sorted(entry_points(group=GROUP), key=lambda one: one.name)}


def _lacking(error: ModuleNotFoundError) -> Callable[[], None]:
    """In the place of a command whose file cannot be imported: calling it says which extra brings what it needs."""

    def lacking() -> None:
        """Not available here: a package that it needs is not installed."""
        raise error

    return lacking


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


def _nothing(
    version: Annotated[  # its callback prints and ends
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version (default: off).")
    ] = False,
) -> None:
    pass


@cache
def _all() -> typer.Typer:
    return assembled((*COMMANDS, *offered_commands()))


def __getattr__(name: str) -> Any:
    """`app`: with all subcommands."""
    if name == "app":
        return _all()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _is_alone(asked: Sequence[str]) -> bool:
    """Whether one command is enough: not where the help or a completion lists all of them."""
    if not asked or COMPLETION in os.environ:
        return False
    return asked[0] in COMMANDS or asked[0] in offered_commands()


def main() -> None:
    """Run a command; what goes wrong is one readable block on stderr and an exit code."""
    claim_process()
    sys.stdout = forgiving(sys.stdout)
    asked = sys.argv[1:2]
    try:
        with uncollected():
            command = assembled(asked) if _is_alone(asked) else _all()
        command()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # the last line of defence: the user gets words, not a traceback
        from erfscope.cli.failure import report

        sys.exit(report(error))
