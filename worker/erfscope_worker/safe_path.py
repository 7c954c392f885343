"""Starts an interpreter again without the start folder on sys.path, where files of people may lie."""

import os
import sys


def restart_safely(module: str) -> None:
    """Replace this process by `python -P -m module`, unless it was started so; its id stays."""
    if not sys.flags.safe_path:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1 : _options()], "-P", "-m", module, *sys.argv[1:]])


def _options() -> int:
    """Where the interpreter's own options end: at `-m`."""
    return sys.orig_argv.index("-m") if "-m" in sys.orig_argv else 1
