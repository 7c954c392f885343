"""The disk of the file store is full: words and 503, never a 500, and well again once there is room."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.disks import fill, mounted
from tests.service.conftest import assert_problem, running_service, send_form

from erfscope_service.settings import ServiceSettings


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where we may mount one."""
    with mounted(tmp_path / "disk", "1m") as place:
        yield place


def test_a_full_disk_is_a_503_in_words_until_there_is_room(settings: ServiceSettings, disk: Path) -> None:
    changed = settings.model_copy(update={"blob_dir": disk / "blobs"})
    with running_service(changed) as url, httpx2.Client(base_url=url, timeout=30) as client:
        fill(disk / "filler")
        problem = assert_problem(client.get("/health/ready"), 503, "unavailable")
        assert "file store has no room left" in problem["detail"]
        assert problem["context"] == {"redis": True, "blobs": False}
        uploads = (
            client.post("/models", content=b"x" * 1000),
            client.post("/files", content=b"\x89PNG\r\n\x1a\n" + b"x" * 1000),
            send_form(client, b"x" * 1000),
            send_form(client, b"x" * 1_500_000),
        )
        for response in uploads:
            assert "no room left" in assert_problem(response, 503, "unavailable")["detail"]
            assert response.headers["retry-after"] == "30"
        assert list((disk / "blobs" / "tmp").iterdir()) == []
        (disk / "filler").unlink()
        assert client.get("/health/ready").status_code == 200
        assert client.post("/models", content=b"x" * 1000).status_code in (201, 202)


@pytest.mark.parametrize("part", ["erfscope_service", "erfscope_worker"])
def test_a_part_whose_folder_cannot_be_written_says_so(tmp_path: Path, part: str) -> None:
    (tmp_path / "blobs").write_text("a file, no folder")
    words = {"ERFSCOPE_DATA_DIR": str(tmp_path), "ERFSCOPE_REDIS_URL": "unix:///nowhere", "PATH": ""}
    done = subprocess.run([sys.executable, "-m", part], env=words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"cannot start: The file store in {tmp_path}/blobs cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
