"""Hostile code in the child of a real worker: what it takes, leaves behind and lies about."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from erfscope_contract.job import Status
from erfscope_worker import jail
from erfscope_worker.removal import remove

pytestmark = pytest.mark.skipif(bool(jail.missing()), reason="this kernel offers no jail")
HERE = Path(__file__).parent
LIMIT = 128  # MiB of a job
RUNNER = "hostile_runners:run"
GOOD = json.loads((HERE / "good_inspection.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tmpdir_of_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """TMPDIR of the worker, where its jobs have their folders; gone afterwards, too deep for others to remove."""
    folder = tmp_path_factory.mktemp("t")
    yield folder
    remove(folder)


@pytest.fixture(scope="module")
def hostile(
    tmpdir_of_worker: Path, shop: Any, start_worker: Callable[..., Any]
) -> Iterator[tuple[Any, Callable[[], Any]]]:
    """A shop whose children do what an attacker would, and how to start a worker for it, in the data folder."""
    changes = {
        "namespace": "hostile",
        "runner": RUNNER,
        "job_memory_bytes": LIMIT << 20,
        "job_file_bytes": 64 << 20,
        "job_seconds": 60.0,
        "lease_seconds": 15.0,
    }
    settings = shop.settings.model_copy(update=changes)
    other = type(shop)(settings)
    (settings.data_dir / "selectors.py").write_text(
        f"open({str(tmpdir_of_worker / 'imported')!r}, 'w').close()\nraise SystemExit('imported')\n"
    )

    def start() -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(tmpdir_of_worker))
            patch.chdir(settings.data_dir)
            return start_worker(**changes)

    start()
    yield other, start
    other.close()


def test_code_in_the_start_folder_is_never_imported(hostile: Any, tmpdir_of_worker: Path) -> None:
    shop, _ = hostile
    shop.succeeded(shop.submit("succeed"))
    assert not (tmpdir_of_worker / "imported").exists()


def test_a_worker_started_in_the_data_folder_shows_a_job_no_file(hostile: Any) -> None:
    shop, _ = hostile
    sha256 = shop.store.put(b"another tenant's model").sha256
    data = shop.settings.data_dir
    paths = [str(data), str(data / "selectors.py"), str(shop.store.path(sha256)), str(shop.store.root), "..", "/"]
    assert shop.note(shop.submit("look_around", paths=paths)) == {"seen": {}}
    own = str(shop.store.path(sha256))
    seen = shop.note(shop.submit("look_around", paths=[own], model=sha256))["seen"]
    assert bytes.fromhex(seen[own]) == b"another tenant's model"[:20]


def test_two_jobs_share_nothing(hostile: Any) -> None:
    shop, _ = hostile
    assert shop.note(shop.submit("leave")) == {"left": []}


def test_two_jobs_at_once_do_not_see_each_other(hostile: Any, tmpdir_of_worker: Path) -> None:
    shop, _ = hostile
    shop.succeeded(shop.submit("succeed"))
    (space,) = tmpdir_of_worker.glob("erfscope-work-*")
    other = space / "job-of-another"
    other.mkdir()
    (other / "secret").write_text("secret")
    assert shop.note(shop.submit("look_around", paths=[str(space), str(other), str(other / "secret")])) == {"seen": {}}


@pytest.mark.parametrize("kind", ["private", "growing_stack", "shared", "zero_device", "memfd", "system_v"])
def test_memory_of_every_kind_ends_at_the_limit(hostile: Any, kind: str) -> None:
    shop, _ = hostile
    note = shop.note(shop.submit("hoard", kind=kind, pieces=64))
    assert note["refused"]
    assert note["mib"] <= LIMIT


def test_memory_that_was_hidden_from_its_limit_ends_the_job(hostile: Any) -> None:
    """RLIMIT_DATA forgets pages that are made read-only: the address space and the worker's own look bound them."""
    shop, _ = hostile
    note = shop.ended(shop.submit("hoard", kind="made_read_only", pieces=256, hold=30))
    if note.status is Status.SUCCEEDED:
        held = json.loads(json.loads(note.result)["notes"][0])
        assert held["refused"]
        assert held["mib"] < 16 * 256
    else:
        assert note.problem.kind == "resource-limit"


def test_many_files_end_the_job(hostile: Any) -> None:
    shop, _ = hostile
    for act in ("litter", "write_much"):
        record = shop.ended(shop.submit(act), seconds=90)
        assert (record.status, record.problem.kind) == (Status.FAILED, "resource-limit")


def test_nested_folders_stop_neither_this_worker_nor_the_next(hostile: Any, tmpdir_of_worker: Path) -> None:
    shop, start = hostile
    shop.ended(shop.submit("nest"))
    shop.succeeded(shop.submit("succeed"))
    shop.eventually(lambda: not list(tmpdir_of_worker.glob("erfscope-work-*/gone-*")))
    sleeping = shop.submit("sleep")
    shop.child(sleeping)
    deep = next(tmpdir_of_worker.glob("erfscope-work-*")) / "job-deep"
    subprocess.run([sys.executable, "-c", DEEP, str(deep)], check=True)
    shop.ledger.cancel(sleeping, "public")
    assert start().process.poll() is None


DEEP = """
import os, sys
os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])
for _ in range(3000):
    os.mkdir("d"); os.chdir("d")
"""


def progress(**fields: object) -> str:
    return json.dumps({"type": "progress", "stage": "load", "share": 0.5, **fields})


def problem(**fields: object) -> str:
    said = {"type": "/problems/invalid-model", "title": "?", "status": 422, "detail": "?", **fields}
    return json.dumps({"type": "problem", "problem": said})


def npy(header: str, data: bytes) -> str:
    text = header.encode() + b"\n"
    return (b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data).hex()


ARRAY = '{"type": "part", "name": "array:map"}'
DESCRIBED = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}}}"
LIES: dict[str, list[tuple[str, str]]] = {
    "a share of 10**400": [(progress().replace("0.5", "1" + "0" * 400), "")],
    "a share of Infinity": [(progress().replace("0.5", "Infinity"), "")],
    "a share of half": [(progress(share="half"), "")],
    "a stage with half a character": [(progress(stage="\ud800"), "")],
    "an array that is none": [(ARRAY, b"hello, I am an array".hex())],
    "an array of objects": [(ARRAY, npy(DESCRIBED.format("|O", False, "(1,)"), bytes(8)))],
    "an array of text": [(ARRAY, npy(DESCRIBED.format("<U2", False, "(1,)"), bytes(8)))],
    "an array in another order": [(ARRAY, npy(DESCRIBED.format("<f8", True, "(1,)"), bytes(8)))],
    "an array of NaN": [(ARRAY, npy(DESCRIBED.format("<f4", False, "(1,)"), bytes.fromhex("0000c07f")))],
    "an array that is too short": [(ARRAY, npy(DESCRIBED.format("<f8", False, "(9,)"), bytes(8)))],
    "an array that is too long": [(ARRAY, npy(DESCRIBED.format("<f8", False, "(1,)"), bytes(16)))],
    "an array of negative extent": [(ARRAY, npy(DESCRIBED.format("<f8", False, "(-1,)"), bytes(8)))],
    "an array of 10**400": [(ARRAY, npy(DESCRIBED.format("<f8", False, f"({10**400},)"), bytes(8)))],
    "an array with code in its header": [(ARRAY, npy("{'descr': __import__('os')}", b""))],
    "a picture of text": [('{"type": "part", "name": "figure"}', b"<svg/>".hex())],
    "parts of 10**400": [('{"type": "done", "parts": [[0, 1' + "0" * 400 + "]]}", "")],
    "a problem of the service": [(problem(type="/problems/unavailable"), "")],
    "a problem with half a character": [(problem(detail="\udfff"), "")],
    "a problem with Infinity": [(problem(context={"limit": float("inf")}), "")],
}
RESULTS = {
    "Infinity in the result": json.dumps({**GOOD, "input_shape": [1, float("inf"), 4]}),
    "10**400 in the result": json.dumps({**GOOD, "input_shape": [1, 4, 10**400]}),
    "half a character in the result": json.dumps({**GOOD, "name": "\ud800"}),
    "a deep result": '{"name":' + "[" * 900 + "]" * 900 + "}",
    "no JSON": "hello",
}


@pytest.fixture(scope="module")
def liars(hostile: Any) -> dict[str, Any]:
    """All of them, one after another, then their records."""
    shop, _ = hostile
    ids = {name: shop.submit("lie", frames=frames) for name, frames in LIES.items()}
    ids |= {name: shop.submit("answer", text=text) for name, text in RESULTS.items()}
    return {name: shop.ended(id, seconds=120) for name, id in ids.items()}


@pytest.mark.parametrize("name", [*LIES, *RESULTS])
def test_a_liar_is_a_crash(liars: dict[str, Any], name: str) -> None:
    record = liars[name]
    assert (record.status, record.problem.kind) == (Status.FAILED, "worker-crash")
    assert (record.crashes, record.lapses) == (2, 0)


def test_a_problem_is_told_in_our_words(hostile: Any) -> None:
    shop, _ = hostile
    said = problem(title="<b>", status=200, detail="x" * 100_000, context={"layer": "y" * 100_000})
    record = shop.ended(shop.submit("lie", frames=[(said, "")], done=False))
    known = record.problem
    assert (known.kind, known.status, known.title) == ("invalid-model", 422, "The file is not a valid ONNX model")
    assert len(known.detail) < 10_000
    assert len(known.context["layer"]) < 10_000


def test_a_stopped_fork_server_cannot_keep_a_canceled_child_alive(hostile: Any) -> None:
    shop, _ = hostile
    id = shop.submit("sleep")
    child = shop.child(id)
    parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGSTOP)
    shop.ledger.cancel(id, "public")
    shop.eventually(lambda: not shop.is_alive(child), seconds=10)
    assert shop.succeeded(shop.submit("succeed"), seconds=60)
