"""Trying one measurement: what goes wrong is a problem to report, so that the other models have their say."""

import os
import traceback
from collections.abc import Callable
from typing import TypeVar

from erfscope_contract.problem import Problem

T = TypeVar("T")


def tried(what: Callable[[], T]) -> T | Problem:
    """The answer, or the problem in its place."""
    try:
        return what()
    except Exception as error:
        return problem_from(error)


def problem_from(error: Exception) -> Problem:
    """An exception as a row of the error table; ERFSCOPE_DEBUG=1 shows where it came from."""
    from erfscope.cli.failure import problem_of

    if os.environ.get("ERFSCOPE_DEBUG"):
        traceback.print_exception(error)
    return problem_of(error)
