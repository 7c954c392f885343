"""Removing what a child left, and locks that cannot be misled."""

import os
import sys
from pathlib import Path

import pytest

from erfscope_worker import usage
from erfscope_worker.removal import remove, set_aside
from erfscope_worker.workspace import PREFIX, lock, sweep

DEPTH = 3000


def deep(folder: Path) -> Path:
    """Folders in each other, far beyond the length of a path and Python's recursion."""
    folder.mkdir()
    inside = os.open(folder, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=inside)
        below = os.open("d", os.O_RDONLY, dir_fd=inside)
        with open(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=inside), "w", encoding="utf-8") as file:
            file.write("x")
        os.close(inside)
        inside = below
    os.close(inside)
    assert sys.getrecursionlimit() < DEPTH
    return folder


def test_deep_folders_are_removed(tmp_path: Path) -> None:
    remove(deep(tmp_path / "deep"))
    assert not list(tmp_path.iterdir())


def test_folders_without_rights_are_removed_and_links_not_followed(tmp_path: Path) -> None:
    (tmp_path / "canary").mkdir(0o755)
    (tmp_path / "canary" / "file").write_text("x")
    job = tmp_path / "job"
    (job / "shut" / "below").mkdir(parents=True)
    (job / "link").symlink_to(tmp_path / "canary")
    (job / "shut" / "below" / "link").symlink_to(tmp_path / "canary")
    (job / "shut" / "below").chmod(0)
    (job / "shut").chmod(0)
    job.chmod(0)
    remove(job)
    assert (tmp_path / "canary" / "file").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["canary"]


def test_a_folder_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    aside = set_aside(tmp_path / "job")
    assert aside.is_dir()
    assert aside.name.startswith("gone-")
    assert not (tmp_path / "job").exists()


def test_the_sweep_removes_deep_folders_of_the_dead(tmp_path: Path) -> None:
    deep(tmp_path / f"{PREFIX}dead")
    assert sweep(tmp_path) == 1
    assert not list(tmp_path.iterdir())


def test_a_lock_file_that_is_a_link_is_neither_followed_nor_emptied(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("precious")
    folder = tmp_path / f"{PREFIX}odd"
    folder.mkdir(0o700)
    (folder / "lock").symlink_to(canary)
    with pytest.raises(OSError, match="lock"), lock(folder):
        pass
    assert sweep(tmp_path) == 0
    assert canary.read_text() == "precious"


def test_a_lock_file_is_not_emptied(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "lock").write_text("precious")
    with lock(tmp_path):
        pass
    assert (tmp_path / "lock").read_text() == "precious"


@pytest.mark.parametrize("what", ["folder", "lock"])
def test_what_others_may_write_is_left_alone(tmp_path: Path, what: str) -> None:
    folder = tmp_path / f"{PREFIX}shared"
    folder.mkdir(0o700)
    (folder / "lock").touch(0o600)
    {"folder": folder, "lock": folder / "lock"}[what].chmod(0o777)
    with pytest.raises(PermissionError, match="left alone"), lock(folder):
        pass
    assert sweep(tmp_path) == 0
    assert folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_what_another_user_owns_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / f"{PREFIX}foreign"
    folder.mkdir(0o700)
    os.chown(folder, 65534, 65534)
    assert sweep(tmp_path) == 0
    assert folder.exists()


def test_a_folder_is_overfull_by_bytes_by_number_and_by_depth(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    assert not usage.overfull(tmp_path, 1 << 20)
    assert usage.overfull(tmp_path, 999)
    deep(tmp_path / "deep")
    assert usage.overfull(tmp_path, 1 << 30)
    many = tmp_path / "many"
    many.mkdir()
    for n in range(usage.MOST_FILES + 1):
        (many / str(n)).touch()
    assert usage.overfull(many, 1 << 30)
    remove(tmp_path / "deep")
