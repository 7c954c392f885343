"""Log lines of every process, JSON or text: one line a record; repeated warnings are counted."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from erfscope_contract.text import for_log

BURST = 20
WINDOW_SECONDS = 60.0
MOST_WORDS = 1000  # that are counted at a time
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


class Repeats(logging.Filter):
    """Counts warnings and errors that come again and again, instead of writing each: 23,000 lines hide everything else.

    Of the same words (before names are filled in) the first BURST of a window are written, then the 100th, 1,000th, …,
    which say so as the fact `repeated`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.levelno < logging.WARNING:
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        began, count = self._seen.get(key, (now, 0))
        if now - began > WINDOW_SECONDS:
            began, count = now, 0
        if len(self._seen) >= MOST_WORDS:
            self._seen.clear()
        self._seen[key] = (began, count + 1)
        if count < BURST:
            return True
        if not is_round(count + 1):
            return False
        record.facts = {**_own(record), "repeated": count + 1}
        return True


def is_round(count: int) -> bool:
    """100, 1,000, 10,000 …"""
    return count >= 100 and count == 10 ** (len(str(count)) - 1)


def configure(form: Form = "auto", level: str = "INFO") -> None:
    """Everything to stderr, uvicorn's and Celery's loggers included; `auto` is text at a terminal, JSON elsewhere."""
    is_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(TextLine() if is_text else JsonLine())
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Its warnings are about the client's body, which the 400 tells the client.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
