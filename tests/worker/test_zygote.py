"""The zygote before it is ready: it imports for seconds, and must not outlive a worker that dies meanwhile."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLOW = """
import pathlib, time
pathlib.Path({flag!r}).touch()
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is imported before the first order")
def test_zygote_that_still_imports_dies_with_its_worker(tmp_path: Path) -> None:
    flag = tmp_path / "importing"
    (tmp_path / "slow_runner.py").write_text(SLOW.format(flag=str(flag)))
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "erfscope_worker.zygote", str(theirs.fileno()), "fork", "slow_runner:run"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    try:
        give_up_at = time.monotonic() + 60
        while not flag.exists():
            assert time.monotonic() < give_up_at
            assert process.poll() is None
            time.sleep(0.02)
        ours.close()  # as the kernel does when the worker is killed
        assert process.wait(60) == -signal.SIGIO
    finally:
        process.kill()
        process.wait()
