"""A command whose complaints about its options are in plain words, not in those of the library that reads them."""

import re
from collections.abc import Sequence
from copy import copy
from typing import Any, cast

import typer
from typer.core import TyperCommand

_WORDS = (
    (r"Value error, ", ""),
    (r"Input should be a valid integer, unable to parse string as an integer", "must be a whole number"),
    (r"Input should be a valid number, unable to parse string as a number", "must be a number"),
    (r"Input should be ", "must be "),
    (r"'(.*)' is not a valid int(eger)?\.", r"must be a whole number, not '\1'."),
    (r"'(.*)' is not a valid float\.", r"must be a number, not '\1'."),
)

# The library that typer brings has no public name.
UsageError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])


class PlainCommand(TyperCommand):
    """Typer's, but for the words, and with help that is shown as it is written: `erfscope[local]` is no markup."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        shown = copy(self)
        shown.help, shown.params = _literal(self.help), [_with_literal_help(one) for one in self.params]
        super(PlainCommand, shown).format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; raises typer.BadParameter."""
        given = list(args)  # reading them empties the list
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            for theirs, ours in _WORDS:
                error.message = re.sub(theirs, ours, error.message)
            raise
        except UsageError as error:
            error.message += _hint_at_a_comma(error.message, given)
            raise


def _with_literal_help(parameter: Any) -> Any:
    shown = copy(parameter)
    shown.help = _literal(getattr(parameter, "help", None))
    return shown


def _literal(text: str | None) -> str | None:
    from rich.markup import escape

    return text and escape(text)


def _hint_at_a_comma(message: str, args: Sequence[str]) -> str:
    """Where several numbers stand behind an option that takes them as one word."""
    extra = re.search(r"unexpected extra argument\S* \(([\d. ]+)\)", message)
    first = extra[1].split()[0] if extra else ""
    if extra is None or first not in args[1:]:
        return ""
    numbers = [args[args.index(first, 1) - 1], *extra[1].split()]
    return f". Are these one list? Then put commas between: {','.join(numbers)}"
