"""The lock file of `erfscope up`: a plain file of ours, or nothing is started and nothing of others is touched."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from erfscope._errors import APIError
from erfscope.cli import up_folder
from erfscope_worker.embedded import installation
from erfscope_worker.embedded.stack import STORE_BYTES, store_bytes

STRANGE: dict[str, Callable[[Path, Path], object]] = {
    "a link to a file": lambda lock, other: lock.symlink_to(other),
    "a link to nothing": lambda lock, other: lock.symlink_to(other.with_name("missing")),
    "a pipe": lambda lock, _: os.mkfifo(lock),
}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A file of somebody else."""
    place = tmp_path / "other"
    place.write_text("precious")
    return place


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_not_a_plain_file_is_refused(name: str, tmp_path: Path, other: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    STRANGE[name](folder / up_folder.LOCK, other)
    with pytest.raises(APIError, match=r"up\.lock is a link, not a plain file"):
        up_folder.running(folder)
    with (
        pytest.raises(APIError, match=r"up\.lock is a link, not a plain file"),
        installation.occupy(folder, "127.0.0.1", 0),
    ):
        pass
    assert other.read_text() == "precious"
    assert not other.with_name("missing").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_lock_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / up_folder.LOCK).write_text('{"run_dir": "/etc"}')
    os.chown(tmp_path / up_folder.LOCK, 65_534, 65_534)
    with pytest.raises(APIError, match="sudo -u 'nobody'") as refused:
        up_folder.running(tmp_path)
    assert refused.value.problem.title == "The ledger of the service cannot be reached"
    with (
        pytest.raises(APIError, match="belongs to the user nobody"),
        installation.occupy(tmp_path, "127.0.0.1", 0),
    ):
        pass


def test_a_folder_is_held_and_left(tmp_path: Path) -> None:
    for _ in range(2):
        with installation.occupy(tmp_path, "127.0.0.1", 0) as held:
            assert held.socket.parent.is_dir()
        with pytest.raises(APIError, match=r"No `erfscope up` runs with the data folder"):
            up_folder.running(tmp_path)


def test_the_store_may_take_a_share_of_the_memory() -> None:
    least, most = STORE_BYTES
    assert least <= store_bytes() <= most
