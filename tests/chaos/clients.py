"""The load: callers that submit, repeat, cancel, remove, look and wait."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from tests.chaos.caller import Caller, Form
from tests.chaos.history import TERMINAL, Accepted, History
from tests.chaos.questions import BAD, Bad, Question, refusal
from tests.chaos.town import Town

MOST_WAITING = 7  # unfinished jobs of one client


class Client(Caller):
    """One who asks good questions and bad ones, and changes its mind."""

    def __init__(
        self, name: str, tenant: str, seed: int, town: Town, history: History, questions: Sequence[Question]
    ) -> None:
        super().__init__(name, tenant, seed, town, history)
        self._questions = questions
        self._waiting: deque[str] = deque()
        self._done: list[str] = []
        self._keys: list[tuple[str, Form, Accepted]] = []
        self._acts: list[tuple[float, Callable[[], None]]] = [
            (0.42, self._submit_good),
            (0.20, self._ask_again),
            (0.12, self._submit_bad),
            (0.09, self._submit_and_cancel),
            (0.08, self._repeat_key),
            (0.05, self._look_again),
            (0.02, self._spy),
            (0.02, self._submit_and_remove),
        ]

    def act(self) -> None:
        if len(self._waiting) >= MOST_WAITING:
            return self._wait_for_one()
        weights, acts = zip(*self._acts, strict=True)
        self.random.choices(acts, weights)[0]()

    def _submit_good(self, after_bad: bool = False) -> None:
        question = self.random.choice(self._questions)
        salt = self.salt()
        key = f"key-{salt}"
        form = question.salted(salt)
        self._submit(form, key, question.name, "succeeded", after_bad)

    def _submit_bad(self) -> None:
        """A bad input, and a good one after it, which must succeed (I14)."""
        bad = self.random.choice(BAD)
        salt = self.salt()
        if bad.status == 202:
            self._submit(bad.form(salt), f"key-{salt}", bad.name, bad.kind)
        else:
            self._refused(bad, salt)
        self._submit_good(after_bad=True)

    def _refused(self, bad: Bad, salt: str) -> None:
        response = self.persist("POST", "/erf", bad.form(salt))
        if response is not None and (response.status_code, refusal(response)) != (bad.status, bad.kind):
            self.refuse("I10", bad.name, response)

    def _submit_and_cancel(self) -> None:
        question = self.random.choice(self._questions)
        salt = self.salt()
        job = self._submit(question.salted(salt), f"key-{salt}", question.name, "canceled")
        if job is not None:
            time.sleep(self.random.choice((0.0, 0.0, 0.3, 1.0)))
            self.persist("DELETE", f"/erf/{job.id}", {})

    def _repeat_key(self) -> None:
        """The same key and body once more: the same job (I5)."""
        if self._keys:
            key, form, job = self.random.choice(self._keys)
            response = self.persist("POST", "/erf", form, key)
            if response is not None and response.status_code == 202:
                self.history.accept(Accepted(response.json()["id"], job.question, job.expects, self.tenant), key)

    def _ask_again(self) -> None:
        """A question that was asked before, as a new job: answered from what is known, if it is."""
        good = [(form, job) for _, form, job in self._keys if job.expects == "succeeded"]
        if good:
            form, job = self.random.choice(good)
            self._submit(form, f"key-{self.salt()}", job.question, "succeeded")

    def _look_again(self) -> None:
        if self._done:
            self._look(self.random.choice(self._done))

    def _spy(self) -> None:
        """Another tenant's job is as unknown as one that never was (I9)."""
        others = [job.id for job in list(self.history.accepted.values()) if job.tenant != self.tenant]
        if others:
            id = self.random.choice(others)
            response = self.send("GET", f"/erf/{id}", {}, {})
            if response is not None and response.status_code not in (404, 503):
                self.history.violate("I9", f"{id}: {response.status_code} for {self.tenant}")

    def _wait_for_one(self) -> None:
        id = self._waiting[0]
        status = self._look(id, {"Prefer": "wait=2"})
        if status in TERMINAL:
            self._waiting.popleft()
            self._done.append(id)
        else:
            self._waiting.rotate(-1)

    def _submit(self, form: Form, key: str, question: str, expects: str, after_bad: bool = False) -> Accepted | None:
        response = self.persist("POST", "/erf", form, key)
        if response is None or response.status_code != 202:
            if response is not None:
                self.refuse("I10", question, response)
            return None
        told = response.json()
        job = self.history.accept(Accepted(told["id"], question, expects, self.tenant, after_bad=after_bad), key)
        self._waiting.append(job.id)
        self._keys.append((key, form, job))
        return job

    def _look(self, id: str, headers: dict[str, str] | None = None) -> str:
        """The status of an accepted job; empty when nobody answered. An accepted id is never unknown (I2)."""
        response = self.send("GET", f"/erf/{id}", {}, headers or {})
        if response is None or response.status_code == 503:
            time.sleep(0.1)
            return ""
        if response.status_code != 200:
            self.refuse("I2", id, response)
            return ""
        status: str = response.json()["status"]
        self.history.see(id, status, response.headers.get("etag", ""))
        return status

    def _submit_and_remove(self) -> None:
        """A job that has ended goes with `purge`, and is unknown from then on."""
        salt = self.salt()
        form = self.random.choice(self._questions).salted(salt)
        response = self.persist("POST", "/erf", form, f"key-{salt}")
        if response is None or response.status_code != 202:
            return
        path = f"/erf/{response.json()['id']}"
        while not self.over.is_set():
            gone = self.persist("DELETE", path, {"params": {"purge": "true"}})
            if gone is not None and gone.status_code in (204, 404):  # 404: removed by a call whose answer was lost
                break
            self.rest(0.5)
        if not self.over.is_set() and (after := self.persist("GET", path, {})) and after.status_code != 404:
            self.refuse("I2", f"{path} after its removal", after)
