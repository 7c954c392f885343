"""The command line: `erfscope …`. One command per file; `commands.py` puts them together."""

from typing import Any

from erfscope.cli import commands
from erfscope.cli.commands import main

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    """`app`: every command, put together when it is asked for."""
    return getattr(commands, name)
