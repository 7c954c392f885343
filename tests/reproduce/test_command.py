"""`erfscope reproduce` as people call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from erfscope_reproduce.report import environment
from erfscope_reproduce.table import CLAIMS

from .test_report import check

ONE_THREAD = {**environment(), "threads": 1}


def reproduce(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ERFSCOPE_")}
    command = [sys.executable, "-m", "erfscope", "reproduce", *words]
    environment = {**kept, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_claim_by_its_name_writes_the_report(tmp_path: Path) -> None:
    done = reproduce("s3", "--quick", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "confirmed" in done.stdout
    folder = tmp_path / "erfscope-report"
    check(folder / "report.md", folder)
    body = json.loads((folder / "report.json").read_text("utf-8"))
    assert body["command"] == "erfscope reproduce s3 --quick"
    assert body["quick"] is True
    assert {row["id"] for row in body["rows"]} == {"S3"}


def test_a_claim_that_cannot_be_measured_is_told_by_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (tmp_path / "data" / name).write_bytes(b"short")
    done = reproduce("training", "--quick", "--data", "data", "-o", "out", folder=tmp_path)
    assert done.returncode == 3
    assert "holds 5 bytes" in done.stdout
    body = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert [row["verdict"] for row in body["rows"]] == ["crashed"]
    assert body["rows"][0]["ours"] is None


def test_bad_usage(tmp_path: Path) -> None:
    for words in (["nonsense"], ["s3", "--data", "nowhere"], ["s3", "-o", "/dev/null/report"]):
        done = reproduce(*words, folder=tmp_path)
        assert done.returncode == 2
        assert words[-1] in done.stderr
        assert list(tmp_path.iterdir()) == []


def test_two_folders_of_data_are_told_apart_and_one_that_nothing_uses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scenes" / "trainannot").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (tmp_path / "images" / name).write_bytes(b"short")
    both = ("--data", "scenes", "--data", "images")
    done = reproduce("training", "segmentation", "--quick", *both, "-o", "out", folder=tmp_path)
    assert done.returncode == 3  # the images are damaged, and S12 in a quick run takes made scenes
    body = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert {row["id"] for row in body["rows"] if row["verdict"] == "crashed"} == {"S11"}
    done = reproduce("training", "--quick", *both, "-o", "out", folder=tmp_path)
    assert done.returncode == 2
    assert "--data scenes is CamVid, which S12 trains on" in " ".join(done.stderr.split())


def test_without_a_name_it_says_what_there_is_and_measures_nothing(tmp_path: Path) -> None:
    for words in ([], ["--quick"]):
        done = reproduce(*words, folder=tmp_path)
        assert done.returncode == 2
        assert "an hour or more" in done.stdout
        assert "figure-3" in done.stdout
        assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_none_is_told_before_measuring(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder" / "report.md").mkdir(parents=True)
    for output, words in (
        ("file", "file is there already, and is no folder"),
        ("file/x.md", "below a file"),
        ("folder", "is a folder"),
    ):
        done = reproduce("S1", "--quick", "-o", output, folder=tmp_path)
        assert done.returncode == 2
        assert words in " ".join(done.stderr.split()), done.stderr
        assert done.stdout == ""
    assert (tmp_path / "file").read_text() == "mine"


def test_the_list_measures_nothing(tmp_path: Path) -> None:
    done = reproduce("--list", folder=tmp_path)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [claim.id for claim in CLAIMS]
    assert "(figure-3)" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_claims_measured_anew_keep_the_others(tmp_path: Path) -> None:
    first = reproduce("s19", "--quick", "-o", "out", folder=tmp_path)
    assert first.returncode == 0, first.stderr
    before = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    again = reproduce("s3", "--quick", "--keep", "-o", "out", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    after = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert [row for row in after["rows"] if row["id"] == "S19"] == before["rows"]
    assert {row["id"] for row in after["rows"]} == {"S3", "S19"}
    assert after["command"].splitlines() == [before["command"], "erfscope reproduce s3 --quick --keep -o out"]
    check(tmp_path / "out" / "report.md", tmp_path / "out")
    assert "Every number comes from these commands" in (tmp_path / "out" / "report.md").read_text("utf-8")


@pytest.mark.parametrize(("name", "value"), [("quick", False), ("torch", "1.0")])
def test_what_was_made_otherwise_is_not_kept(tmp_path: Path, name: str, value: object) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    body = {"schema_version": 1, "quick": True, "environment": {**ONE_THREAD}}
    (body if name in body else body["environment"])[name] = value
    (folder / "report.json").write_text(json.dumps(body))
    done = reproduce("s3", "--quick", "--keep", "-o", "out", folder=tmp_path)
    assert done.returncode == 2
    assert f"was made with {name} {value} and not" in " ".join(done.stderr.split())


def test_there_must_be_a_report_to_keep(tmp_path: Path) -> None:
    done = reproduce("s3", "--quick", "--keep", "-o", "none", folder=tmp_path)
    assert done.returncode == 2
    assert "is not a report" in done.stderr


def test_a_report_that_was_tampered_with_is_refused_before_measuring(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    made = {"quick": True, "environment": {**ONE_THREAD}}
    body = {"schema_version": 1, "command": "x", "rows": [{"id": "S19"}], "pictures": [], "remarks": {}, "seconds": {}}
    (folder / "report.json").write_text(json.dumps({**body, **made}))
    done = reproduce("s3", "--quick", "--keep", "-o", "out", folder=tmp_path)
    assert done.returncode == 2
    assert "is not a whole report" in " ".join(done.stderr.split())
