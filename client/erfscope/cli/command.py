"""A command whose complaints about its options are in plain words, not in those of the library that reads them."""

import re
from typing import Any

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


class PlainCommand(TyperCommand):
    """Typer's, but for the words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; raises typer.BadParameter."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            for theirs, ours in _WORDS:
                error.message = re.sub(theirs, ours, error.message)
            raise
