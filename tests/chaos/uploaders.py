"""Who uploads models, has them inspected and measured, deletes them, and uploads them again under a sweeper's nose."""

import contextlib
import os
from typing import Any

import redis
from tests.chaos.caller import Caller
from tests.chaos.history import Accepted, History
from tests.chaos.questions import onnx_file
from tests.chaos.town import Town

from erfscope_contract.hashing import sha256_of
from erfscope_jobs.partitions import partition_of

CONTENTS, SEEDS = 4, 3
BINARY = {"Content-Type": "application/octet-stream"}


class Uploader(Caller):
    """One who owns a few models; nobody else has the same bytes, so only this thread decides what lives."""

    def __init__(self, name: str, tenant: str, seed: int, town: Town, history: History) -> None:
        super().__init__(name, tenant, seed, town, history)
        self._models = [self._fresh(n) for n in range(CONTENTS)]
        self._inspections: dict[str, Any] = {}

    def _fresh(self, number: int) -> tuple[bytes, str]:
        """A model that nobody has, and the question that measures it."""
        return onnx_file(self.salt(), number % SEEDS), f"onnx-{number % SEEDS}"

    def act(self) -> None:
        """A model's whole life; a new one takes its place where it is unknown what became of it."""
        number = self.random.randrange(CONTENTS)
        content, question = self._models[number]
        if not self._live(content, question):
            self._models[number] = self._fresh(number)

    def _live(self, content: bytes, question: str) -> bool:
        """Whether every step was answered, so that the model is known to be gone."""
        sha256 = sha256_of(content)
        stored = self.persist("POST", "/models", {"content": content, "headers": BINARY})
        if stored is None or stored.status_code != 202:
            return stored is not None and self._broken("I10", "POST /models", stored)
        if not self._is_stored(sha256):
            self.history.violate("I16", f"{sha256[:12]} was stored, and its file is gone")
        if not self._inspected(sha256) or not self._measured(sha256, question):
            return False
        return self._deleted(sha256)

    def _broken(self, invariant: str, what: str, response: Any) -> bool:
        self.refuse(invariant, what, response)
        return False

    def _is_stored(self, sha256: str) -> bool:
        """Whether the file has its name, or a sweep that was killed will give it back."""
        blobs = self.town.settings.blobs
        return (blobs / sha256[:2] / sha256).exists() or any((blobs / "aside").glob(f"{sha256}.*"))

    def _inspected(self, sha256: str) -> bool:
        """Wait for what is inside; it is the same each time."""
        while not self.over.is_set():
            told = self.persist("GET", f"/models/{sha256}", {"headers": {"Prefer": "wait=2"}})
            if told is None:
                return False
            if told.status_code != 200:
                return self._broken("I16", f"GET /models/{sha256[:12]}", told)
            model = told.json()
            if model["status"] == "succeeded":
                if self._inspections.setdefault(sha256, model["inspection"]) != model["inspection"]:
                    self.history.violate("I5", f"{sha256[:12]}: another inspection than before")
                self.history.note("inspections")
                return True
            if model["status"] == "failed":
                return self._may_fail(f"inspection of {sha256[:12]}", model["error"])
        return False

    def _may_fail(self, what: str, error: dict[str, Any]) -> bool:
        """Only where it was struck too often; the model is not used any more then."""
        if not error["type"].endswith("/worker-crash"):
            self.history.violate("I1b", f"{what}: {error}")
        return False

    def _measured(self, sha256: str, question: str) -> bool:
        """Ask for its measurement by its name, and wait until that has ended."""
        form = {"json": {"model": {"sha256": sha256}, "average": {"inputs": 2}}}
        key = f"key-{self.salt()}"
        told = self.persist("POST", "/erf", form, key)
        if told is None or told.status_code != 202:
            return told is not None and self._broken("I16", f"POST /erf of {sha256[:12]}", told)
        id = told.json()["id"]
        self.history.accept(Accepted(id, question, "succeeded", self.tenant), key)
        while not self.over.is_set():
            job = self.send("GET", f"/erf/{id}", {}, {"Prefer": "wait=2"})
            if job is not None and job.status_code == 200 and job.json()["finished_at"]:
                return True
            self.rest(0.1)
        return False

    def _deleted(self, sha256: str) -> bool:
        """Delete it, and let its time to live pass: from now on a sweep may take the file.

        A call whose answer was lost may still be carried out, after the next upload: that model is not used again.
        """
        told = self.send("DELETE", f"/models/{sha256}", {}, {})
        if told is None or told.status_code != 204:
            return False
        with contextlib.suppress(redis.RedisError, OSError):
            key = self.town.every_key("blobs")[partition_of(self.town.settings, self.tenant)]
            self.town.redis.zrem(key, sha256)
            os.utime(self.town.settings.blobs / sha256[:2] / sha256, (0, 0))
            self.history.note("deletes")
        self.rest(self.random.choice((0.0, 0.0, 0.02, 0.2)))
        return True
