"""Errors as people read them: one block (title, detail, what to do) on stderr, and the exit code."""

import os
import traceback

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from erfscope._errors import APIError, ConnectionFailed, ErfscopeError, JobCanceled, JobFailed, ResultTimeout
from erfscope._files import trouble
from erfscope_contract.problem import KINDS, Fault, Problem, ProblemError
from erfscope_contract.text import visible

BAD_INPUT, BROKEN = Fault.REQUEST.exit_code, Fault.SERVICE.exit_code


def cannot_start(detail: str) -> APIError:
    """Why `erfscope up` has to give up."""
    return APIError(_problem("unavailable", detail, "erfscope cannot start"))


def bad_setting(detail: str) -> APIError:
    """Why a part cannot be configured as it is asked to be."""
    return APIError(_problem("bad-request", detail, "A setting cannot be used"))


def no_ledger(detail: str) -> APIError:
    """Why the ledger, where jobs and keys are, cannot be asked: where it was looked for, and what to do."""
    return APIError(_problem("connection", detail, "The ledger of the service cannot be reached"))


def has_stopped(detail: str) -> APIError:
    """Why `erfscope up` ends although nobody asked."""
    return APIError(_problem("unavailable", detail, "erfscope has stopped"))


def report(error: Exception) -> int:
    """Print the block; the exit code."""
    problem = problem_of(error)
    row = KINDS.get(problem.kind, KINDS["internal"])
    show(problem.title, problem.detail, None if row.is_told else row.hint)
    if os.environ.get("ERFSCOPE_DEBUG"):
        traceback.print_exception(error)
    return row.fault.exit_code


def show(title: str, detail: str, hint: str | None = None) -> None:
    """The block itself."""
    body = Text(visible(detail))
    if hint:
        body.append(f"\n\n{hint}", style="dim")
    Console(stderr=True).print(Panel(body, title=Text(title), title_align="left", border_style="red"))


def problem_of(error: Exception) -> Problem:
    """Any exception as a row of the error table."""
    from erfscope.gate.discovery import ConfigurationError

    match error:
        case ProblemError() | ConnectionFailed() | APIError() | JobFailed():
            return error.problem
        case JobCanceled() | ResultTimeout():
            return _problem("unavailable", str(error))
        case ModuleNotFoundError() if not (error.name or "").startswith("erfscope"):
            return _problem("unsupported-feature", missing_extra(error))
        case OSError():
            return _problem("bad-request", trouble(error), "A file or connection cannot be used")
        case ErfscopeError():
            is_configured_wrongly = isinstance(error, ConfigurationError)
            return _problem("bad-request" if is_configured_wrongly else "internal", str(error))
    return _problem("internal", f"{type(error).__name__}: {error}")


EXTRAS = {"sklearn": "local,reproduce"}  # by package; any other comes with what runs on this machine


def missing_extra(error: ModuleNotFoundError) -> str:
    """Which extra brings the module that is not there."""
    extra = EXTRAS.get((error.name or "").partition(".")[0], "local")
    return (
        f"this needs the package {error.name!r}, which is not installed. "
        f"Install what runs on this machine with:  pip install 'erfscope[{extra}]'"
    )


def _problem(kind: str, detail: str, title: str | None = None) -> Problem:
    row = KINDS[kind]
    return Problem(type=f"/problems/{kind}", title=title or row.title, status=row.status, detail=detail)
