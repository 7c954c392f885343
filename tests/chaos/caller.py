"""One who calls the service through any replica, as our SDK does, and writes down what must never be answered."""

import random
import threading
import time
from typing import Any

import httpx2
from tests.chaos.history import History
from tests.chaos.questions import refusal
from tests.chaos.town import Town

PERSISTENCE = 60.0  # seconds that a call is repeated through outages
SECONDS = 15.0  # until an answer
Form = dict[str, Any]  # arguments of httpx2's request


class Caller:
    """A thread with a random generator and a connection pool of its own; the same seed asks the same things."""

    def __init__(self, name: str, tenant: str, seed: int, town: Town, history: History) -> None:
        self.name = name
        self.tenant = tenant
        self.town = town
        self.history = history
        self.random = random.Random(f"{seed}/{name}")
        self.over = threading.Event()
        self._number = 0
        self._urls = town.urls
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask for the end."""
        self.over.set()

    def join(self) -> None:
        """Wait for it."""
        self._thread.join()

    def act(self) -> None:
        """One thing that this caller does; called until the end."""
        raise NotImplementedError

    def _run(self) -> None:
        with httpx2.Client(timeout=SECONDS, trust_env=False, headers=self.town.headers(self.tenant)) as self.http:
            while not self.over.is_set():
                try:
                    self.act()
                except Exception as error:  # a thread that ends in silence would look like a calm one
                    self.history.violate("harness", f"{self.name}: {error!r}")
                    raise

    def salt(self) -> str:
        """A word that nobody has used."""
        self._number += 1
        return f"{self.name}-{self._number}"

    def url(self) -> str:
        """Any replica."""
        return self.random.choice(self._urls)

    def rest(self, seconds: float) -> None:
        """Do nothing, or less when it is over."""
        self.over.wait(seconds)

    def persist(self, method: str, path: str, form: Form, key: str | None = None) -> httpx2.Response | None:
        """Repeat through outages; the key makes that safe. None when it was in vain, or all is over."""
        give_up_at = time.monotonic() + PERSISTENCE
        headers = {"Idempotency-Key": key} if key else {}
        while time.monotonic() < give_up_at and not self.over.is_set():
            response = self.send(method, path, form, headers)
            if response is not None and response.status_code not in (429, 503):
                return response
            self.rest(self.random.uniform(0.1, 0.5))
        return None

    def send(self, method: str, path: str, form: Form, headers: dict[str, str]) -> httpx2.Response | None:
        """One exchange; None when the connection failed."""
        told = {**form, "headers": {**form.get("headers", {}), **headers}}
        try:
            response = self.http.request(method, self.url() + path, **told)
        except httpx2.TransportError:
            self.lose_connection()
            return None
        self.history.count(response.status_code)
        self._check_manners(method, path, response)
        return response

    def lose_connection(self) -> None:
        """Nobody listened, or the connection died."""
        self.history.lose_connection()
        self.rest(0.05)

    def refuse(self, invariant: str, what: str, response: httpx2.Response) -> None:
        """Write down an answer that breaks a promise."""
        self.history.violate(invariant, f"{what}: {response.status_code} {response.text[:200]}")

    def _check_manners(self, method: str, path: str, response: httpx2.Response) -> None:
        """I10: no 5xx but a 503 that says when to come again; every error is a problem+json."""
        status = response.status_code
        wrong = (
            status >= 400 and not refusal(response),
            status >= 500 and status != 503,
            status in (429, 503) and not response.headers.get("retry-after", "").isdigit(),
        )
        if any(wrong):
            self.refuse("I10", f"{method} {path} {dict(response.headers)}", response)
