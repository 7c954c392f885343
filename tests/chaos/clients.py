"""The load: threads that submit, repeat, cancel, look and wait through any replica, and write down what they see."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx2
from tests.chaos.history import TERMINAL, Accepted, History
from tests.chaos.questions import BAD, Bad, Question, refusal
from tests.chaos.town import Town

MOST_WAITING = 7  # unfinished jobs of one client
PERSISTENCE = 60.0  # seconds that a client repeats a submission through outages
Form = dict[str, Any]


class Client:
    """One thread with a random generator of its own; the same seed asks the same things in the same order."""

    def __init__(
        self, name: str, tenant: str, seed: int, town: Town, questions: list[Question], history: History
    ) -> None:
        self.name = name
        self._tenant = tenant
        self._random = random.Random(f"{seed}/{name}")
        self._urls = town.urls
        self._credentials = town.headers(tenant)
        self._questions = questions
        self._history = history
        self._waiting: deque[str] = deque()
        self._done: list[str] = []
        self._keys: list[tuple[str, Form, Accepted]] = []
        self._number = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)
        self._acts: list[tuple[float, Callable[[], None]]] = [
            (0.44, self._submit_good),
            (0.20, self._ask_again),
            (0.12, self._submit_bad),
            (0.09, self._submit_and_cancel),
            (0.08, self._repeat_key),
            (0.05, self._look_again),
            (0.02, self._spy),
        ]

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask for the end."""
        self._stop.set()

    def join(self) -> None:
        """Wait for it."""
        self._thread.join()

    def _run(self) -> None:
        with httpx2.Client(timeout=15, trust_env=False, headers=self._credentials) as http:
            self._http = http
            while not self._stop.is_set():
                try:
                    self._act()
                except Exception as error:  # a thread that ends in silence would look like a calm one
                    self._history.violate("harness", f"{self.name}: {error!r}")
                    raise

    def _act(self) -> None:
        if len(self._waiting) >= MOST_WAITING:
            return self._wait_for_one()
        weights, acts = zip(*self._acts, strict=True)
        self._random.choices(acts, weights)[0]()

    def _salt(self) -> str:
        self._number += 1
        return f"{self.name}-{self._number}"

    def _submit_good(self, after_bad: bool = False) -> None:
        question = self._random.choice(self._questions)
        salt = self._salt()
        key = f"key-{salt}"
        form = question.salted(salt)
        self._submit(form, key, question.name, "succeeded", after_bad)

    def _submit_bad(self) -> None:
        """A bad input, and a good one after it, which must succeed (I14)."""
        bad = self._random.choice(BAD)
        salt = self._salt()
        if bad.status == 202:
            self._submit(bad.form(salt), f"key-{salt}", bad.name, bad.kind)
        else:
            self._refused(bad, salt)
        self._submit_good(after_bad=True)

    def _refused(self, bad: Bad, salt: str) -> None:
        response = self._persist("POST", "/erf", bad.form(salt), None)
        if response is not None and (response.status_code, refusal(response)) != (bad.status, bad.kind):
            self._history.violate("I10", f"{bad.name}: {response.status_code} {response.text[:200]}")

    def _submit_and_cancel(self) -> None:
        question = self._random.choice(self._questions)
        salt = self._salt()
        job = self._submit(question.salted(salt), f"key-{salt}", question.name, "canceled")
        if job is not None:
            time.sleep(self._random.choice((0.0, 0.0, 0.3, 1.0)))
            self._persist("DELETE", f"/erf/{job.id}", {}, None)

    def _repeat_key(self) -> None:
        """The same key and body once more: the same job (I5)."""
        if self._keys:
            key, form, job = self._random.choice(self._keys)
            response = self._persist("POST", "/erf", form, key)
            if response is not None and response.status_code == 202:
                self._history.accept(Accepted(response.json()["id"], job.question, job.expects, self._tenant), key)

    def _ask_again(self) -> None:
        """A question that was asked before, as a new job: answered from what is known, if it is."""
        good = [(form, job) for _, form, job in self._keys if job.expects == "succeeded"]
        if good:
            form, job = self._random.choice(good)
            self._submit(form, f"key-{self._salt()}", job.question, "succeeded")

    def _look_again(self) -> None:
        if self._done:
            self._look(self._random.choice(self._done))

    def _spy(self) -> None:
        """Another tenant's job is as unknown as one that never was (I9)."""
        others = [job.id for job in list(self._history.accepted.values()) if job.tenant != self._tenant]
        if others:
            id = self._random.choice(others)
            response = self._send("GET", f"/erf/{id}", {}, {})
            if response is not None and response.status_code not in (404, 503):
                self._history.violate("I9", f"{id}: {response.status_code} for {self._tenant}")

    def _wait_for_one(self) -> None:
        id = self._waiting[0]
        status = self._look(id, {"Prefer": "wait=2"})
        if status in TERMINAL:
            self._waiting.popleft()
            self._done.append(id)
        else:
            self._waiting.rotate(-1)

    def _submit(self, form: Form, key: str, question: str, expects: str, after_bad: bool = False) -> Accepted | None:
        response = self._persist("POST", "/erf", form, key)
        if response is None or response.status_code != 202:
            if response is not None:
                self._history.violate("I10", f"{question}: {response.status_code} {response.text[:200]}")
            return None
        told = response.json()
        job = self._history.accept(Accepted(told["id"], question, expects, self._tenant, after_bad=after_bad), key)
        self._waiting.append(job.id)
        self._keys.append((key, form, job))
        return job

    def _look(self, id: str, headers: dict[str, str] | None = None) -> str:
        """The status of an accepted job; empty when nobody answered. An accepted id is never unknown (I2)."""
        response = self._send("GET", f"/erf/{id}", {}, headers or {})
        if response is None or response.status_code == 503:
            time.sleep(0.1)
            return ""
        if response.status_code != 200:
            self._history.violate("I2", f"{id}: {response.status_code} {response.text[:200]}")
            return ""
        status: str = response.json()["status"]
        self._history.see(id, status, response.headers.get("etag", ""))
        return status

    def _persist(self, method: str, path: str, form: Form, key: str | None) -> httpx2.Response | None:
        """Repeat through outages, as our SDK does; the key makes that safe."""
        give_up_at = time.monotonic() + PERSISTENCE
        headers = {"Idempotency-Key": key} if key else {}
        while time.monotonic() < give_up_at and not self._stop.is_set():
            response = self._send(method, path, form, headers)
            if response is not None and response.status_code not in (429, 503):
                return response
            time.sleep(self._random.uniform(0.1, 0.5))
        return None

    def _send(self, method: str, path: str, form: Form, headers: dict[str, str]) -> httpx2.Response | None:
        """One exchange with any replica; None when the connection failed."""
        url = self._random.choice(self._urls)
        given = {**form, "headers": {**form.get("headers", {}), **headers}}
        try:
            response = self._http.request(method, url + path, **given)
        except httpx2.TransportError:
            self._history.lose_connection()
            time.sleep(0.05)
            return None
        self._history.count(response.status_code)
        self._check_manners(method, path, response)
        return response

    def _check_manners(self, method: str, path: str, response: httpx2.Response) -> None:
        """I10: no 5xx but a 503 that says when to come again; every error is a problem+json."""
        status = response.status_code
        wrong = (
            status >= 400 and not refusal(response),
            status >= 500 and status != 503,
            status in (429, 503) and not response.headers.get("retry-after", "").isdigit(),
        )
        if any(wrong):
            self._history.violate("I10", f"{method} {path}: {status} {dict(response.headers)} {response.text[:200]}")
