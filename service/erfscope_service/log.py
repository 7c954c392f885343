"""Log lines: one per record whatever is in it, with the id of the request it belongs to."""

import logging
import logging.config
import unicodedata

from erfscope_service.edge import request_id

_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


class OneLine(logging.Formatter):
    """Escapes control and direction characters: a file name must not forge a line or drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; a traceback's own line breaks are indented, everything else is escaped."""
        record.request_id = request_id.current.get()
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        line = escape(self.formatMessage(self._with_message(record)))
        return "\n".join([line, *(f"    {escape(part)}" for part in trace.splitlines())])

    def _with_message(self, record: logging.LogRecord) -> logging.LogRecord:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        return record


def escape(text: str) -> str:
    """Printable text: categories Cc, Cf, Zl and Zp as backslash escapes."""
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in _ESCAPED else c for c in text)


def configure(level: str = "INFO") -> None:
    """Everything to stderr through `OneLine`; uvicorn's loggers included."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Its warnings are about the client's body, which the 400 tells the client.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
