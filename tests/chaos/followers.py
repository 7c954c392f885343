"""Who follows jobs by server-sent events, through every broken connection, and misses nothing."""

import json
from dataclasses import dataclass, field

import httpx2
from tests.chaos.caller import Caller
from tests.chaos.history import TERMINAL, Followed

LINGER = 0.2  # seconds until a stream that broke is asked for again


@dataclass
class ServerEvent:
    """What an event stream says between two empty lines."""

    fields: dict[str, str] = field(default_factory=dict)

    def add(self, line: str) -> None:
        """One line `name: value`; a comment has no name."""
        name, _, value = line.partition(":")
        if name:
            self.fields[name] = value.removeprefix(" ")


class Follower(Caller):
    """Follows one accepted job of its tenant after the other, each from beginning to end."""

    def act(self) -> None:
        """Take a job that nobody has followed yet."""
        known = [job for job in list(self.history.accepted.values()) if job.tenant == self.tenant]
        fresh = [job.id for job in known if job.id not in self.history.followed]
        if not fresh:
            return self.rest(0.1)
        if not (followed := self.history.follow(self.random.choice(fresh[-20:]))):
            return None
        while not followed.is_over and not self.over.is_set():
            self._stream(followed)
            self.rest(LINGER)
        if followed.is_over:
            self._ask_after_the_end(followed)
        return None

    def _stream(self, followed: Followed) -> None:
        """One connection, until it ends."""
        headers = {"Last-Event-ID": followed.ids[-1]} if followed.ids else {}
        try:
            with self.http.stream("GET", f"{self.url()}/erf/{followed.job}/events", headers=headers) as response:
                self.history.count(response.status_code)
                if response.status_code == 200:
                    self._read(followed, response)
                elif response.status_code == 204 and followed.had_ended:
                    followed.status = (
                        followed.had_ended
                    )  # the snapshot has the end's id, and came through before the cut
                elif response.status_code not in (429, 503):
                    response.read()
                    self.refuse("I17", followed.job, response)
        except httpx2.TransportError:
            self.lose_connection()

    def _read(self, followed: Followed, response: httpx2.Response) -> None:
        event = ServerEvent()
        for line in response.iter_lines():
            if self.over.is_set():
                return
            if line:
                event.add(line)
            elif "event" in event.fields:
                self._note(followed, event.fields)
                event = ServerEvent()

    def _note(self, followed: Followed, told: dict[str, str]) -> None:
        followed.ids.append(told["id"])
        if told["event"] == "snapshot" and (status := json.loads(told["data"])["status"]) in TERMINAL:
            followed.had_ended = status
        elif told["event"] == "end":
            followed.status = json.loads(told["data"])["status"]
            if followed.status not in TERMINAL:
                self.history.violate("I17", f"{followed.job}: its end says {followed.status}")

    def _ask_after_the_end(self, followed: Followed) -> None:
        """Browsers come again after every stream; a 204 tells them not to."""
        again = self.send("GET", f"/erf/{followed.job}/events", {}, {"Last-Event-ID": followed.ids[-1]})
        if again is not None and again.status_code not in (204, 429, 503):
            self.refuse("I17", f"{followed.job} after its end", again)
