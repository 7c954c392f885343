"""Kills, stops and outages of real processes: no accepted job is lost, each ends once."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from erfscope_contract.job import Status
from erfscope_jobs.reaper import Reaper, reap_once
from erfscope_jobs.settings import Settings
from erfscope_worker.attempt import memory_kills


@pytest.fixture(scope="module")
def reaper(settings: Settings) -> Iterator[Reaper]:
    """As each API replica runs one."""
    reaper = Reaper(settings)
    reaper.start()
    yield reaper
    reaper.stop()


def terminal_events(shop: Any, id: str) -> list[str]:
    return [event.data["status"] for event in shop.ledger.events(id) if Status(event.data["status"]).is_terminal]


def test_killed_child_is_run_again(shop: Any, worker: Any) -> None:
    id = shop.submit("sleep", seconds=1)
    os.kill(shop.child(id), signal.SIGKILL)
    record = shop.succeeded(id)
    assert (record.attempt, record.crashes, terminal_events(shop, id)) == (2, 1, ["succeeded"])


def test_killed_zygote_is_replaced_and_the_job_run_again(shop: Any, worker: Any) -> None:
    id = shop.submit("sleep", seconds=1)
    child = shop.child(id)
    zygote = next(pid for pid in worker.descendants() if pid != child)
    os.kill(zygote, signal.SIGKILL)
    assert shop.succeeded(id).attempt == 2
    assert not shop.is_alive(child)


def test_cancel_kills_the_child_within_two_seconds(shop: Any, worker: Any) -> None:
    id = shop.submit("sleep")
    child = shop.child(id)
    assert shop.ledger.cancel(id, "public").status is Status.CANCELED
    shop.eventually(lambda: not shop.is_alive(child), seconds=2)
    shop.succeeded(shop.submit("succeed"))
    assert terminal_events(shop, id) == ["canceled"]


def test_canceled_while_queued_never_runs(shop: Any, worker: Any) -> None:
    id = shop.submit("succeed", ring=False)
    shop.ledger.cancel(id, "public")
    shop.doorbell.ring(id, shop.record(id).kind)
    shop.succeeded(shop.submit("succeed"))
    assert (shop.record(id).status, shop.record(id).attempt) == (Status.CANCELED, 0)


def test_lost_message_is_published_again(shop: Any, worker: Any, reaper: Reaper) -> None:
    assert shop.succeeded(shop.submit("succeed", ring=False)).attempt == 1


def test_killed_worker_leaves_no_orphan_and_another_finishes(shop: Any, start_worker: Any, reaper: Reaper) -> None:
    first = start_worker(namespace="handover")
    other = type(shop)(shop.settings.model_copy(update={"namespace": "handover"}))
    id = other.submit("sleep", seconds=1)
    child, below = other.child(id), first.descendants()
    first.kill()
    shop.eventually(lambda: not any(map(shop.is_alive, [child, *below])), seconds=5)
    start_worker(namespace="handover")
    shop.eventually(lambda: reap_once(other.ledger, other.doorbell))
    record = other.succeeded(id)
    assert (record.attempt, record.lapses, terminal_events(other, id)) == (2, 1, ["succeeded"])
    other.close()


def test_stopped_worker_is_fenced(shop: Any, start_worker: Any) -> None:
    other = type(shop)(shop.settings.model_copy(update={"namespace": "fencing"}))
    sleeper = start_worker(namespace="fencing")
    id = other.submit("sleep", seconds=0.5)
    other.child(id)
    sleeper.process.send_signal(signal.SIGSTOP)
    shop.eventually(lambda: reap_once(other.ledger, other.doorbell))
    start_worker(namespace="fencing")
    record = other.succeeded(id)
    sleeper.process.send_signal(signal.SIGCONT)
    assert sleeper.stop() == 0
    assert (record.attempt, other.record(id), terminal_events(other, id)) == (2, record, ["succeeded"])
    other.close()


def test_idle_worker_stops_at_once_and_leaves_the_registry(shop: Any, start_worker: Any) -> None:
    worker = start_worker()
    below = worker.descendants()
    assert worker.stop(seconds=5) == 0
    assert worker.process.pid not in {info.pid for info in shop.ledger.workers()}
    assert not any(map(shop.is_alive, below))
    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]  # Celery's words are lines like others
    assert [line["message"] for line in lines[-2:]] == [
        "takes jobs",
        "stops: takes no new job, and gives those that run (0) 1 s",
    ]


def test_busy_worker_hands_its_job_back(shop: Any, start_worker: Any) -> None:
    other = type(shop)(shop.settings.model_copy(update={"namespace": "rolling"}))
    leaving = start_worker(namespace="rolling", shutdown_grace=0.3)
    id = other.submit("sleep", seconds=2)
    other.child(id)
    assert leaving.stop() == 0
    assert other.record(id).status is Status.QUEUED
    start_worker(namespace="rolling")
    assert other.succeeded(id).attempt == 2
    other.close()


def test_further_signals_do_not_prolong_the_grace(shop: Any, start_worker: Any) -> None:
    other = type(shop)(shop.settings.model_copy(update={"namespace": "impatient"}))
    leaving = start_worker(namespace="impatient", shutdown_grace=2)
    id = other.submit("sleep", seconds=60)
    other.child(id)

    def ended_after_another() -> bool:
        leaving.process.terminate()
        time.sleep(0.2)
        return leaving.process.poll() is not None

    shop.eventually(ended_after_another, seconds=20)
    assert other.record(id).status is Status.QUEUED
    other.close()


@pytest.mark.parametrize("to_all", [False, True], ids=["SIGTERM to the worker", "SIGTERM to all of its processes"])
def test_busy_worker_finishes_within_the_grace(shop: Any, start_worker: Any, to_all: bool) -> None:
    """A service manager may send the signal to every process of a service, as systemd does by default."""
    other = type(shop)(shop.settings.model_copy(update={"namespace": f"graceful{to_all:d}"}))
    leaving = start_worker(namespace=f"graceful{to_all:d}", shutdown_grace=10)
    id = other.submit("sleep", seconds=1)
    other.child(id)
    for pid in leaving.descendants() if to_all else ():
        os.kill(pid, signal.SIGTERM)
    assert leaving.stop() == 0
    record = other.record(id)
    assert (record.status, record.attempt) == (Status.SUCCEEDED, 1)
    other.close()


def test_redis_killed_and_restarted_loses_nothing(redis: Any, shop: Any, worker: Any, reaper: Reaper) -> None:
    done, running = shop.submit("succeed"), ""
    before = shop.succeeded(done)
    running = shop.submit("sleep", seconds=2)
    shop.child(running)
    waiting = shop.submit("succeed")
    redis.kill()
    redis.start()
    assert shop.record(done) == before
    assert shop.succeeded(running).status is Status.SUCCEEDED
    shop.succeeded(waiting)
    assert terminal_events(shop, running) == ["succeeded"]
    shop.succeeded(shop.submit("succeed"), seconds=10)
    assert worker.process.poll() is None


def test_container_memory_limit_is_told_from_a_crash(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert memory_kills(events) == 2
    assert memory_kills(tmp_path / "missing") == 0
