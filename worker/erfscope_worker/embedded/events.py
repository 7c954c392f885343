"""What `erfscope up` itself tells on stderr: sentences for people, or JSON lines where ERFSCOPE_LOG is `json`."""

import logging
import os

import typer

from erfscope_jobs.log import JsonLine

log = logging.getLogger("erfscope_worker.up")


class Events:
    """Writes the events of one `up`."""

    def __init__(self) -> None:
        self.is_json = os.environ.get("ERFSCOPE_LOG") == "json"
        if self.is_json:
            handler = logging.StreamHandler()
            handler.setFormatter(JsonLine())
            log.handlers[:] = [handler]
            log.setLevel(logging.INFO)
            log.propagate = False

    def tell(self, line: str) -> None:
        """What happens in order; for people only what they cannot see on stdout."""
        if self.is_json:
            log.info(line)

    def stopping(self, grace: float) -> None:
        """That the parts are being stopped, which takes a while."""
        self._write(logging.INFO, f"stopping; a job that runs has {grace:g} s to end, a second signal ends it at once")

    def warn(self, line: str) -> None:
        """What somebody should look at."""
        self._write(logging.WARNING, line, "warning: ")

    def failed(self, detail: str) -> None:
        """Why this `up` ends although nobody asked."""
        self._write(logging.ERROR, detail)

    def _write(self, level: int, line: str, before: str = "") -> None:
        if self.is_json:
            log.log(level, line)
        else:
            typer.echo(f"{before}{line}", err=True)
