"""How a worker starts: never unjailed unless told, and never without its runner."""

import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

from erfscope_jobs.settings import Settings
from erfscope_worker import environment, jail
from erfscope_worker.app import sandboxed
from erfscope_worker.launcher import Launcher
from erfscope_worker.workspace import PREFIX, UNLOCKED, lock, sweep, workspace


def test_refuses_to_run_without_a_jail_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "missing", lambda: ["Landlock"])
    with pytest.raises(SystemExit, match="ERFSCOPE_ALLOW_UNSANDBOXED=1"):
        sandboxed(Settings())
    assert sandboxed(Settings(allow_unsandboxed=True)) is False


def test_runner_that_cannot_be_imported_is_an_error_at_start(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        Launcher(Settings(runner="no_such_module:run", device="cpu")).start()
    assert "no_such_module" in capfd.readouterr().err


def test_environment_of_children_has_no_address_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ERFSCOPE_REDIS_URL", "AWS_SECRET_ACCESS_KEY", "REDIS_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in environment.clean(3).values()
    assert environment.clean(3)["OMP_NUM_THREADS"] == "3"


def test_workspace_of_a_dead_worker_is_swept_and_of_a_live_one_kept(tmp_path: Path) -> None:
    dead, live = tmp_path / f"{PREFIX}dead", tmp_path / f"{PREFIX}live"
    for folder in (dead, live):
        (folder / "job").mkdir(parents=True)
    with lock(live):
        assert sweep(tmp_path) == 1
    assert (dead.exists(), live.exists()) == (False, True)


def test_a_folder_of_a_worker_that_died_before_it_was_locked_is_swept_after_an_hour(tmp_path: Path) -> None:
    for name, age in (("fresh", 60), ("stale", 4000)):
        (tmp_path / f"{UNLOCKED}{name}").mkdir()
        os.utime(tmp_path / f"{UNLOCKED}{name}", (time.time() - age,) * 2)
    assert sweep(tmp_path) == 1
    assert [folder.name for folder in tmp_path.iterdir()] == [f"{UNLOCKED}fresh"]


def test_workers_that_start_at_once_leave_each_others_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = threading.Event()

    def sweeps() -> None:
        while not done.is_set():
            sweep(tmp_path)

    others = [threading.Thread(target=sweeps) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for _ in range(300):
            with workspace() as space:
                assert space.new().is_dir()
    finally:
        done.set()
        for other in others:
            other.join()
    assert not list(tmp_path.iterdir())


def test_workspace_is_gone_after_use() -> None:
    with workspace() as space:
        space.new()
    assert not space.folder.exists()
