"""Following a job over server-sent events: what is known, where to go on, when to give up."""

import json
from typing import Any

import httpx2

from erfscope import _calls
from erfscope._errors import ErfscopeError, refuse
from erfscope._transport import Settings
from erfscope_contract.job import Job


class EventCursor:
    """The place in a job's stream of events, over as many connections as it takes.

    The first event is a snapshot of the job; later ones carry the fields that changed. Each is merged over
    what is known, so a consumer sees whole `Job` objects only.
    """

    def __init__(self, id: str, settings: Settings) -> None:
        self.id = id
        self.ended = False
        self._settings = settings
        self._known: dict[str, Any] = {}
        self._last_id: str | None = None
        self._failures = 0
        self._delay = 0.0

    def call(self) -> _calls.Call[None]:
        """The request for everything after the last event seen."""
        return _calls.events(self.id, self._last_id)

    def is_open(self, response: httpx2.Response) -> bool:
        """Whether events follow; raises where trying again cannot help."""
        if response.is_success:
            return True
        self._again_or_raise(response, _calls.error_of(response))
        return False

    def lost(self, error: httpx2.TransportError) -> None:
        """The connection broke or never was; raises ConnectionFailed when it has too often."""
        self._again_or_raise(error, self._settings.unreachable(error, self._failures + 1))

    def pause(self) -> float:
        """Seconds before the next connection (a stream that ended early is taken up again at once)."""
        delay, self._delay = self._delay, self._settings.policy.backoff(0)
        return delay

    def read(self, message: httpx2.ServerSentEvent) -> Job | None:
        """The job after this event; None for events of no interest."""
        self._failures, self._delay = 0, 0.0
        self._last_id = message.id or self._last_id
        if not message.data:
            return None
        try:
            self._known |= json.loads(message.data)
            job = Job.model_validate(self._known)
        except (ValueError, TypeError) as error:  # not JSON, no object, or not (yet) a job
            raise refuse("internal", f"an event of job {self.id} cannot be read: {error}") from None
        self.ended = job.status.is_terminal
        return job

    def _again_or_raise(self, outcome: httpx2.Response | httpx2.TransportError, error: ErfscopeError) -> None:
        delay = self._settings.policy.delay(self._failures, outcome)
        if delay is None:
            raise error
        self._failures += 1
        self._delay = delay
