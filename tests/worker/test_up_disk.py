"""`erfscope up` where the disk is full or fills up, and what killed ones have left in the folder for sockets."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.disks import fill, mounted
from tests.worker.test_up import SPEC, up

from erfscope import Client, errors
from erfscope.cli import up_folder
from erfscope_worker.embedded import installation


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB, where we may mount one."""
    with mounted(tmp_path / "disk", "8m") as place:
        yield place


@pytest.mark.parametrize("begun", [False, True])
def test_a_full_disk_is_named_before_anything_is_started(disk: Path, begun: bool) -> None:
    if begun:
        with installation.occupy(disk / "data", "127.0.0.1", 0):
            pass
    fill(disk / "filler")
    with pytest.raises(errors.APIError) as caught, installation.occupy(disk / "data", "127.0.0.1", 0):
        pass
    assert f"cannot write to {disk}/data: its disk has no room left" in caught.value.problem.detail


def test_a_disk_that_fills_up_ends_it_in_words(disk: Path) -> None:
    with up(disk / "data") as running:
        fill(disk / "filler")
        with Client(running.url, retries=0) as client:
            for n in range(500):  # the store ends when the last page of its log is full
                with contextlib.suppress(errors.ErfscopeError):
                    client.submit(SPEC, inputs=n + 1)
                if running.process.poll() is not None:
                    break
        code, said = running.end()
    words = " ".join(said.replace("│", " ").split())
    assert code == 3
    assert "erfscope has stopped" in said
    assert "the store ended with status 1, and the disk of" in words
    assert "No job is lost: a job that ran starts over at the next `erfscope up`" in words
    assert "Traceback" not in said


def test_sockets_of_killed_ones_go_and_those_in_use_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, sockets = time.time() - 2 * installation.ABANDONED, {}
    for name in ("dead", "alive", "empty", "young", "strange"):
        folder = tmp_path / f"{installation.PREFIX}{name}"
        folder.mkdir()
        if name in ("dead", "alive"):
            sockets[name] = socket.socket(socket.AF_UNIX)
            sockets[name].bind(str(folder / up_folder.SOCKET))
        if name == "strange":
            (folder / "a file of somebody").touch()
        if name != "young":
            os.utime(folder, (old, old))
    sockets["alive"].listen()
    sockets["dead"].close()
    installation.sweep(tmp_path)
    sockets["alive"].close()
    left = {folder.name.removeprefix(installation.PREFIX) for folder in tmp_path.iterdir()}
    assert left == {"alive", "young", "strange"}


def test_a_host_that_has_no_address_is_named() -> None:
    with pytest.raises(errors.APIError, match=r"--host nohost\.invalid: no address"):
        installation.free_port("nohost.invalid", 0)
