"""Neighbours: one floods, one asks for little and should hardly notice, one measures series."""

from typing import Any

from tests.chaos.caller import Caller
from tests.chaos.history import TERMINAL, Accepted
from tests.chaos.questions import spec

SMALL: dict[str, Any] = {"depth": 1, "seed": 0, "inputs": 2}  # the question spec-1-0
GIVES_UP = 5  # jobs that a flood cancels at its limit


class Flood(Caller):
    """Submits as fast as it may, up to its limit, and cancels some of that."""

    def act(self) -> None:
        """One more job; at the limit a few fewer."""
        salt = self.salt()
        told = self.send("POST", "/erf", spec(salt, **SMALL), {"Idempotency-Key": f"key-{salt}"})
        if told is not None and told.status_code == 202:
            self.history.accept(Accepted(told.json()["id"], "spec-1-0", "canceled", self.tenant), f"key-{salt}")
            return self.rest(0.05)
        if told is not None and told.status_code == 429:
            self.history.note("refused at the limit")
            for job in self._some():
                self.send("DELETE", f"/erf/{job}", {}, {})
        self.rest(0.5)

    def _some(self) -> list[str]:
        mine = [job.id for job in list(self.history.accepted.values()) if job.tenant == self.tenant]
        return self.random.sample(mine[-40:], k=min(GIVES_UP, len(mine)))


class Quiet(Caller):
    """Asks for one small thing at a time."""

    def act(self) -> None:
        """A job, until its end."""
        salt = self.salt()
        told = self.persist("POST", "/erf", spec(salt, **SMALL), f"key-{salt}")
        if told is None or told.status_code != 202:
            return
        id = told.json()["id"]
        self.history.accept(Accepted(id, "spec-1-0", "succeeded", self.tenant), f"key-{salt}")
        while not self.over.is_set():
            job = self.send("GET", f"/erf/{id}", {}, {"Prefer": "wait=2"})
            if job is not None and job.status_code == 200 and job.json()["finished_at"]:
                return self.rest(0.1)
            self.rest(0.05)


class Planner(Caller):
    """Measures a spec at several kernel sizes as one series; some are canceled half-way."""

    def act(self) -> None:
        """A series, until its end."""
        salt = self.salt()
        architecture = spec(salt, depth=2, seed=0, inputs=2)["json"]["model"]["architecture"]
        sweep = {"architecture": architecture, "parameters": ["/layers/0/kernel_size"], "values": [1, 3, 5]}
        architecture["layers"][0]["padding"] = "same"
        body = {"sweep": sweep, "request": {"average": {"inputs": 2}}}
        told = self.persist("POST", "/series", {"json": body}, f"key-{salt}")
        if told is None:
            return
        if told.status_code != 202:
            return self.refuse("I10", "POST /series", told)
        self._follow(f"/series/{told.json()['id']}", gives_up=self.random.random() < 0.2)

    def _follow(self, path: str, gives_up: bool) -> None:
        if gives_up:
            self.rest(self.random.uniform(0, 0.5))
            self.persist("DELETE", path, {})
        while not self.over.is_set():
            told = self.persist("GET", path, {"headers": {"Prefer": "wait=2"}})
            if told is not None and told.status_code != 200:
                return self.refuse("I18", path, told)
            if told is not None and all(point["status"] in TERMINAL for point in told.json()["points"]):
                self.history.note("series")
                return self._judge(path, told.json()["points"], gives_up)

    def _judge(self, path: str, points: list[dict[str, Any]], gives_up: bool) -> None:
        allowed = {"succeeded", "canceled"} if gives_up else {"succeeded"}
        for point in points:
            crashed = point["status"] == "failed" and point["error"]["type"].endswith("/worker-crash")
            if point["status"] not in allowed and not crashed:
                self.history.violate("I18", f"{path}: {point['label']} ended {point['status']} {point['error']}")
