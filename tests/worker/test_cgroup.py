"""Control groups of children, on a folder that stands for the kernel's (this suite cannot have one delegated)."""

import os
from pathlib import Path

import pytest

from erfscope_worker.cgroup import MARGIN, Groups, is_delegated


def hierarchy(folder: Path, controllers: str = "cpu memory pids", processes: str = "") -> tuple[Path, Path, Path]:
    """A hierarchy with our group in it, its folder, and what says where we are."""
    base = folder / "user.slice" / "worker.service"
    base.mkdir(parents=True)
    (base / "cgroup.controllers").write_text(controllers + "\n")
    (base / "cgroup.procs").write_text((processes or str(os.getpid())) + "\n")
    membership = folder / "membership"
    membership.write_text("9:name=systemd:/elsewhere\n0::/user.slice/worker.service\n")
    return folder, base, membership


def delegate(base: Path) -> None:
    """As systemd marks a group."""
    try:
        os.setxattr(base, "user.delegate", b"1")
    except OSError:
        pytest.skip("this file system has no extended attributes")


def test_a_delegated_group_is_divided_and_limits_a_child(tmp_path: Path) -> None:
    root, base, membership = hierarchy(tmp_path)
    delegate(base)
    groups = Groups.delegated(root, membership)
    assert groups is not None
    assert (base / "worker" / "cgroup.procs").read_text() == str(os.getpid())
    assert (base / "cgroup.subtree_control").read_text() == "+memory +pids"
    group = groups.new(4242, 1000, 500)
    assert group is not None
    assert group.folder.parent == base
    written = {path.name: path.read_text() for path in group.folder.iterdir()}
    assert written == {
        "memory.max": str(1500 + MARGIN),
        "memory.oom.group": "1",
        "pids.max": "1024",
        "cgroup.procs": "4242",
    }
    for path in group.folder.iterdir():  # the kernel's own files go with their folder
        path.unlink()
    group.close()
    assert not group.folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's own group is delegated to it")
def test_a_group_that_root_can_merely_write_is_left_alone(tmp_path: Path) -> None:
    root, base, membership = hierarchy(tmp_path)
    assert Groups.delegated(root, membership) is None
    assert not (base / "worker").exists()


def test_a_group_without_controllers_or_with_others_in_it_is_left_alone(tmp_path: Path) -> None:
    for name, controllers, processes in (("a", "cpu pids", ""), ("b", "memory pids", f"{os.getpid()}\n1")):
        (tmp_path / name).mkdir()
        _, base, _ = hierarchy(tmp_path / name, controllers, processes)
        delegate(base)
        assert not is_delegated(base)


def test_no_group_at_all(tmp_path: Path) -> None:
    assert Groups.delegated(tmp_path, tmp_path / "missing") is None


def test_a_group_that_the_kernel_refuses_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Groups(tmp_path / "gone").new(1, 1, 1) is None
    assert "without a control group" in caplog.text
