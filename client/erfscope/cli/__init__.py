"""The command line: `erfscope …`. One command per file; this one puts them together."""

from erfscope.cli.app import app, main

__all__ = ["app", "main"]
