"""`erfscope jobs` against a service: list, show, wait, cancel, save, for a job of every kind."""

import json
from functools import partial
from pathlib import Path

import httpx2
import pytest
from tests.client.command_line import Run, run
from tests.client.test_tiles import TILES
from tests.service.conftest import Worker, a_spec, submit

from erfscope_contract.tiles import Tiles

__all__ = ["run"]


@pytest.fixture
def erfscope(base_url: str, run: Run) -> Run:
    """`erfscope("jobs", "list")` in a folder of its own."""
    return partial(run, ERFSCOPE_URL=base_url, COLUMNS="200")


def tiles(client: httpx2.Client, name: str) -> str:
    return str(client.post("/tiles", json={**a_spec(name=name), "tile": 64}).json()["id"])


def test_a_measurement_is_listed_shown_awaited_and_saved(
    erfscope: Run, client: httpx2.Client, worker: Worker, tmp_path: Path
) -> None:
    id = submit(client, "by command")["id"]
    assert id in erfscope("jobs", "list", "--kind", "erf", "--status", "queued").stdout
    worker.measure(worker.claim(id))
    awaited = erfscope("jobs", "wait", id)
    assert (awaited.returncode, "succeeded" in awaited.stdout) == (0, True), awaited.stderr
    assert json.loads(erfscope("jobs", "show", id).stdout)["result"]["unit"]
    saved = erfscope("jobs", "save", id, "-o", "map.npy", "-o", "result.json")
    assert saved.returncode == 0, saved.stderr
    assert (tmp_path / "map.npy").stat().st_size > 0
    assert json.loads((tmp_path / "result.json").read_text())


def test_a_job_of_another_kind(erfscope: Run, client: httpx2.Client, worker: Worker, tmp_path: Path) -> None:
    id = tiles(client, "by command")
    too_early = erfscope("jobs", "save", id, "-o", "tiles.json")
    assert (too_early.returncode, "it has no result" in too_early.stderr) == (2, True)
    png = erfscope("jobs", "save", id, "-o", "tiles.png")
    assert (png.returncode, "the ending must be one of .json" in png.stderr) == (2, True)
    worker.succeed(worker.claim(id), Tiles.model_validate(TILES).model_dump_json().encode())
    assert erfscope("jobs", "wait", id).returncode == 0
    assert erfscope("jobs", "save", id, "-o", "tiles.json").returncode == 0
    assert json.loads((tmp_path / "tiles.json").read_text())["tile"] == TILES["tile"]


def test_what_did_not_succeed_is_exit_code_3(erfscope: Run, client: httpx2.Client, worker: Worker) -> None:
    failing, canceled = tiles(client, "failing"), tiles(client, "canceled")
    worker.fail(worker.claim(failing), "unsupported-model", "no tile can give that")
    failed = erfscope("jobs", "wait", failing)
    assert (failed.returncode, "no tile can give that" in failed.stdout) == (3, True)
    assert "canceled" in erfscope("jobs", "cancel", canceled, failing).stdout
    assert erfscope("jobs", "wait", canceled).returncode == 3
    open_still = erfscope("jobs", "wait", tiles(client, "open"), "--timeout", "0")
    assert (open_still.returncode, "queued" in open_still.stdout) == (3, True)


def test_an_unknown_job(erfscope: Run) -> None:
    for words in (("show",), ("wait",), ("cancel",)):
        done = erfscope("jobs", *words, "nothing")
        assert done.returncode == 2
        assert "There is no job 'nothing'" in done.stderr
