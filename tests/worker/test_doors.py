"""The doors of the jail, tried by the command that people run: as root and as nobody, from a folder with canaries."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from erfscope_jobs.settings import Settings
from erfscope_worker import jail, readable
from erfscope_worker.app import TRIALS, verify
from erfscope_worker.doors.files import KERNEL_FILES
from erfscope_worker.doors.outside import try_doors
from erfscope_worker.launcher import Child, Launcher

pytestmark = pytest.mark.skipif(bool(jail.missing()), reason="this kernel offers no jail")
RUNNER = "erfscope_worker.doors.inside:run"  # imports no torch
NOBODY = 65534
# Shut by the kernel for everybody, or for want of what they would open.
ALWAYS_SHUT = {
    "import from the start folder",
    "private memory over the limit",  # by RLIMIT_DATA, which holds without a jail too
    "leave the session",  # a child leads its own
    "leave the group",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "iopl",
    "ioperm",
    "kcmp",
    "get_robust_list",
    "move_pages",
    "migrate_pages",
    "lookup_dcookie",
    "a call that no kernel has",
    "open /dev/mem",
    "open /proc/kcore",
    "open /proc/sysrq-trigger",
}
# Calls and files of the kernel that not every kernel has.
NOT_EVERYWHERE = {
    *(f"open {name}" for name in KERNEL_FILES if not os.access(name, os.R_OK)),
    *("cachestat", "fchmodat2", "futex_requeue", "listmount", "lsm_get_self_attr", "lsm_set_self_attr"),
    *("map_shadow_stack", "statmount"),
}


@pytest.fixture
def start() -> Iterator[Path]:
    """A start folder and data folder that anybody may write."""
    folder = Path(tempfile.mkdtemp(prefix="doors-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def as_user(user: int) -> list[str]:
    """How a command starts as another user, who may read this installation wherever it is."""
    if user == os.geteuid():
        return []
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root with setpriv can start a process as nobody")
    read = "+dac_read_search"
    return [
        "setpriv",
        f"--reuid={user}",
        f"--regid={user}",
        "--clear-groups",
        f"--inh-caps={read}",
        f"--ambient-caps={read}",
    ]


@pytest.mark.parametrize("user", [os.geteuid(), NOBODY])
def test_every_door_is_shut(start: Path, user: int) -> None:
    variables = {"ERFSCOPE_DATA_DIR": str(start), "ERFSCOPE_DEVICE": "cpu", "ERFSCOPE_RUNNER": RUNNER}
    done = subprocess.run(
        [*as_user(user), sys.executable, "-m", "erfscope_worker.doors"],
        cwd=start,
        env={**os.environ, **variables, "HOME": str(start), "TMPDIR": str(start)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert not [line for line in lines[:-1] if not line.startswith("shut")]
    assert len(lines) > 200
    assert lines[-1] == f"{len(lines) - 1} doors, 0 open; Landlock level {jail.level()}"
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(start.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="many doors are shut for other users anyway")
def test_the_doors_are_real(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the jail the same child finds them open."""
    monkeypatch.chdir(start)
    launcher = Launcher(Settings(runner=RUNNER, device="cpu", data_dir=start))
    launcher.start()
    try:
        attempts = try_doors(launcher, launcher.settings, sandbox=False)
    finally:
        launcher.close()
    assert {one.name for one in attempts if not one.opened} <= ALWAYS_SHUT | NOT_EVERYWHERE


def test_a_worker_with_an_open_door_refuses_to_serve(settings: Any, tmp_path: Path) -> None:
    variables = {
        "ERFSCOPE_REDIS_URL": settings.redis_url,
        "ERFSCOPE_DATA_DIR": str(tmp_path),
        "ERFSCOPE_DEVICE": "cpu",
        "ERFSCOPE_RUNNER": "unjailed:run",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "erfscope_worker"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "The jail of jobs has open doors on this machine: read a file of people" in done.stderr
    assert "ERFSCOPE_ALLOW_UNSANDBOXED=1" in done.stderr


class Unlucky(Launcher):
    """Its first children are killed before they can say a word, as the kernel does when memory is short."""

    killed = 0

    def launch(self) -> Child:
        child = super().launch()
        if self.killed:
            self.killed -= 1
            os.kill(child.pid, signal.SIGKILL)
        return child


@pytest.mark.parametrize(("killed", "serves"), [(0, True), (TRIALS - 1, True), (TRIALS, False)])
def test_doors_are_tried_again_when_the_child_is_killed(start: Path, killed: int, serves: bool) -> None:
    launcher = Unlucky(Settings(runner=RUNNER, device="cpu", data_dir=start / "data"))
    launcher.start()
    launcher.killed = killed
    try:
        if serves:
            verify(launcher, launcher.settings)
        else:
            with pytest.raises(SystemExit, match="does not serve with a jail that could not be tried"):
                verify(launcher, launcher.settings)
    finally:
        launcher.close()


@pytest.mark.parametrize("place", ["data_dir", "blob_dir"])
def test_library_folders_with_files_of_people_are_refused(place: str, tmp_path: Path) -> None:
    settings = Settings(**{"data_dir": tmp_path / "elsewhere", place: tmp_path / "code" / "data"})
    with pytest.raises(SystemExit, match="PYTHONPATH"):
        readable.check([tmp_path / "code"], settings)
    with pytest.raises(SystemExit, match="PYTHONPATH"):
        readable.check([tmp_path / "code" / "data"], settings)
    readable.check([tmp_path / "code" / "data" / "libraries"], settings)
    readable.check([tmp_path / "cod"], settings)


def test_home_and_tmpdir_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "TMPDIR"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(tmp_path))
            patch.setattr(tempfile, "tempdir", None)
            with pytest.raises(SystemExit, match=str(tmp_path)):
                readable.check([tmp_path], Settings(data_dir=Path("/nowhere")))


def test_this_installation_shows_no_file_of_people(tmp_path: Path) -> None:
    readable.check(readable.libraries(), Settings(data_dir=tmp_path))
