"""Log lines of every process: one per record whatever is in it, as JSON for machines or as text for people."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from erfscope.contract.text import for_log

Form = Literal["auto", "json", "text"]
_facts: ContextVar[dict[str, Any] | None] = ContextVar("erfscope_log_facts", default=None)


@contextmanager
def about(**facts: Any) -> Iterator[dict[str, Any]]:
    """Every line that is logged inside carries these facts (request_id, job, tenant …), and those noted later."""
    here = dict(facts)
    token = _facts.set(here)
    try:
        yield here
    finally:
        _facts.reset(token)


def note(**facts: Any) -> None:
    """Add facts to the innermost `about`, for its lines from now on; outside of any nothing happens."""
    here = _facts.get()
    if here is not None:
        here.update(facts)


def noted(name: str) -> Any:
    """A fact of the innermost `about`; None where it was not noted."""
    return (_facts.get() or {}).get(name)


class JsonLine(logging.Formatter):
    """One JSON object a line, in ASCII: no text of a user can forge a line or drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC), level, logger, message, the facts, and a traceback where there is one."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **(_facts.get() or {}),
            **_own(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLine(logging.Formatter):
    """The same for people; control and direction characters are escaped, a traceback follows indented."""

    def format(self, record: logging.LogRecord) -> str:
        """`2026-01-31 12:00:00,000 INFO erfscope_service (request_id=… job=…) message`."""
        facts = {**(_facts.get() or {}), **_own(record)}
        told = f" ({' '.join(f'{name}={value}' for name, value in facts.items())})" if facts else ""
        line = f"{self.formatTime(record)} {record.levelname} {record.name}{told} {record.getMessage()}"
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return "\n".join([for_log(line), *(f"    {for_log(part)}" for part in trace.splitlines())])


def _own(record: logging.LogRecord) -> dict[str, Any]:
    """What this one line says beyond its message: `log.info("…", extra={"facts": {"seconds": 0.1}})`."""
    own: dict[str, Any] = getattr(record, "facts", {})
    return own


def configure(form: Form = "auto", level: str = "INFO") -> None:
    """Everything to stderr, uvicorn's and Celery's loggers included; `auto` is text at a terminal, JSON elsewhere."""
    is_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(TextLine() if is_text else JsonLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Its warnings are about the client's body, which the 400 tells the client.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
