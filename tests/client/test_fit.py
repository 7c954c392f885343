"""Fit by SDK and command, in this process and by a service."""

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.client.command_line import SPEC, Run
from tests.client.conftest import Reply, Service

from erfscope import AsyncClient, errors
from erfscope.cli.fit import level_table
from erfscope_contract.fit import Fit
from erfscope_contract.untrained import LOOK_UNTRAINED

LEVEL = {
    "name": "second", "operator": "conv", "role": "head", "shape": [2, 16, 16], "stride": [1, 1], "trf_size": [5, 5],
    "erf_size": 4.4, "mass_50_side": 6.25, "erf_ratio": 0.88, "stderr": 0.12, "clipped": False, "holds": [4],
    "objects": [{"size": 4, "verdict": "holds"}, {"size": 9, "verdict": "small field"}],
}  # fmt: skip
FIT = {
    "input_shape": [1, 16, 16], "levels": [LEVEL], "notes": ["said"], "engine": "0", "torch": "2",
    "objects": [{"size": 4, "held_by": ["second"], "best": "second", "words": "4 px: head second holds it."},
                {"size": 9, "held_by": [], "best": None, "words": "9 px: no level sees all of it."}],
}  # fmt: skip


def fit_json(status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """A whole FitJob."""
    whole = {
        "id": "fit-1", "status": status, "created_at": "2026-01-02T00:00:00Z", "model": {"name": "tiny"},
        "request": {"model": {"architecture": SPEC}, "objects": [4, 9]}, "links": {"self": "/fit/fit-1"},
        "result": FIT if status == "succeeded" else None,
    }  # fmt: skip
    return whole | changes


def test_the_sdk_waits_for_the_answer(client: Any, service: Service) -> None:
    service.on("POST /fit", Reply(202, fit_json("queued")))
    service.on("GET /fit/fit-1", Reply(body=fit_json("running", stage="measure")), Reply(body=fit_json()))
    answer = client.fit(SPEC, objects=(4, 9), samples=3)
    assert (answer.levels[0].holds, answer.objects[0].best) == ([4], "second")
    body = json.loads(service.seen[0].body)
    assert (body["objects"], body["samples"]) == ([4, 9], 3)
    with pytest.raises(errors.InvalidRequest, match="objects"):
        client.fit(SPEC, objects=[])


def test_the_client_with_await_asks_alike(service: Service) -> None:
    service.on("POST /fit", Reply(202, fit_json()))

    async def ask() -> Any:
        async with AsyncClient(service.url) as client:
            return await client.fit(SPEC, objects=[4, 9])

    assert asyncio.run(ask()).objects[1].best is None


def test_the_command_shows_a_table(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    service.on("POST /fit", Reply(202, fit_json()))
    done = run("fit", "spec.json", "--object", "4,9", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "ERF 50 % box 4 px 9 px" in told
    assert "second head 1x1 2x16x16 5x5 4.40 ± 0.12 6.25 holds small field" in told
    assert "4 px: head second holds it. 9 px: no level sees all of it. Which row counts? The network has no dec" in told
    assert "erfscope advise spec.json --layer second --object 9 --url " in told
    assert "the ERF is at least 1.5 times the object" in told


def test_the_next_command_keeps_the_options(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    service.on("POST /fit", Reply(202, fit_json()))
    options = ["--weights", "ones", "--inputs", "4", "--shape", "1,32,32", "--url", service.url]
    done = run("fit", "spec.json", "--object", "4,9", *options)
    assert done.returncode == 0, done.stderr
    assert f"--layer second --object 9 {' '.join(options)}" in " ".join(done.stdout.split())


def test_untrained_weights_are_told_first_and_the_next_command_asks_about_all_sizes(
    run: Run, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    sizes = [{"size": size, "verdict": "small field"} for size in (9, 10.5)]
    words = [{"size": size["size"], "held_by": [], "best": None, "words": "no."} for size in sizes]
    level = LEVEL | {"name": "a b", "objects": sizes}
    notes = ["said", f"{LOOK_UNTRAINED}: all."]
    service.on("POST /fit", Reply(202, fit_json(result=FIT | {"levels": [level], "objects": words, "notes": notes})))
    done = run("fit", "spec.json", "--object", "9,10.5", "--url", service.url)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert (first, last) == (f"note: {LOOK_UNTRAINED}: all.", "note: said")
    assert (
        "What to change so that a b holds 9, 10.5 px: erfscope advise spec.json --layer 'a b' --object 9,10.5 "
        f"--weights random --url {service.url}" in " ".join(done.stdout.split())
    )


def test_of_several_heads_the_one_that_is_fine_enough_is_to_be_widened(
    run: Run, service: Service, tmp_path: Path
) -> None:
    """8 px are too small for both grids, 20 px for the coarse one, 60 px for none: each head has its own command."""
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))

    def head(name: str, stride: int, erf: float, verdicts: dict[int, str]) -> dict[str, Any]:
        objects = [{"size": size, "verdict": verdict} for size, verdict in verdicts.items()]
        return LEVEL | {"name": name, "stride": [stride] * 2, "erf_size": erf, "objects": objects}

    fine = head("fine", 8, 25, {8: "coarse grid", 20: "small field", 60: "small field"})
    coarse = head("coarse", 16, 70, {8: "coarse grid", 20: "coarse grid", 60: "small field"})
    objects = [{"size": size, "held_by": [], "best": None, "words": "no."} for size in (8, 20, 60)]
    answer = FIT | {"levels": [fine, coarse], "objects": objects, "deciding": ["fine", "coarse"]}
    service.on("POST /fit", Reply(202, fit_json(result=answer | {"input_shape": [1, 160, 160]})))
    done = run("fit", "spec.json", "--object", "8,20,60", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = [line.partition(" --url")[0] for line in done.stdout.splitlines() if line.startswith("What to change")]
    assert told == [
        "What to change so that fine holds 20 px: erfscope advise spec.json --layer fine --object 20",
        "What to change so that coarse holds 60 px: erfscope advise spec.json --layer coarse --object 60",
    ]


def test_a_new_head_has_its_level_and_the_command_that_widens_it(run: Run, service: Service, tmp_path: Path) -> None:
    """20 px are held by a level, 60 px by none: of the levels whose grid is fine enough, that of the largest ERF."""
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))

    def level(name: str, role: str, stride: int, erf: float, verdicts: list[str]) -> dict[str, Any]:
        objects = [{"size": size, "verdict": one} for size, one in zip((20, 60), verdicts, strict=True)]
        return LEVEL | {"name": name, "role": role, "stride": [stride] * 2, "erf_size": erf, "objects": objects}

    levels = [
        level("enc", "level", 8, 40, ["holds", "small field"]),
        level("deep", "level", 16, 70, ["coarse grid", "small field"]),
        level("far", "level", 32, 80, ["coarse grid", "small field"]), level("out", "head", 1, 25, ["small field"] * 2),
    ]  # fmt: skip
    objects = [{"size": size, "held_by": ["enc"] * (size == 20), "best": None, "words": "no."} for size in (20, 60)]
    answer = FIT | {"levels": levels, "objects": objects, "deciding": ["out"], "input_shape": [1, 160, 160]}
    service.on("POST /fit", Reply(202, fit_json(result=answer)))
    done = run("fit", "spec.json", "--object", "20,60", "--shape", "1,160,160", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = [line.partition(" --url")[0] for line in done.stdout.splitlines() if line.startswith(("What", "A new"))]
    shape = "--shape 1,192,192"  # twice the ERF for 60 px has room on it
    assert told == [
        f"What to change so that out holds 20, 60 px: erfscope advise spec.json --layer out --object 20,60 {shape}",
        "A new head for 20 px: put it on level enc, the one with the smallest ERF that holds it.",
        "A new head for 60 px: level deep has the largest ERF of those that are fine enough. To widen it: "
        f"erfscope advise spec.json --layer deep --object 60 {shape}",
    ]


def test_the_head_that_decides_is_named_with_what_to_ask_next(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    unsure = [{"size": 4, "verdict": "unsure"}, {"size": 9, "verdict": "small field"}]
    level = LEVEL | {"name": "first", "role": "level", "erf_size": 15.5, "limited": True, "objects": unsure}
    service.on("POST /fit", Reply(202, fit_json(result=FIT | {"levels": [level, LEVEL], "deciding": ["second"]})))
    done = run("fit", "spec.json", "--object", "4,9", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "≥ 15.5 6.25 unsure small field" in told
    assert "For masks (segmentation): that of the head, second, for it decides about each pixel" in told
    assert "erfscope advise spec.json --layer second --object 9 --url " in told


def test_torch_s_modules_stand_beside_the_layers() -> None:
    table = level_table(Fit.model_validate(FIT), {"second": "stem.1"})
    assert [str(column.header) for column in table.columns][:3] == ["layer", "module", "role"]
    assert [str(next(iter(column.cells))) for column in table.columns][:3] == ["second", "stem.1", "head"]
    assert [str(column.header) for column in level_table(Fit.model_validate(FIT)).columns][:2] == ["layer", "role"]


def test_what_it_is_about_stands_in_the_files(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    about = {"model": "a" * 64, "weights": "given", "inputs": 16, "draws": 1, "source": "normal", "seed": 7}
    service.on("POST /fit", Reply(202, fit_json(result=FIT | {"about": about})))
    done = run("fit", "spec.json", "--object", "4,9", "--url", service.url, "-o", "fit.md", "-o", "fit.json")
    assert done.returncode == 0, done.stderr
    said = "sha256 aaaaaaaaaaaa…): weights the file's own; 16 inputs (normal); seed 7; input [1, 16, 16]."
    for text in (done.stdout, (tmp_path / "fit.md").read_text().replace("\\", "")):
        assert said in text
    assert json.loads((tmp_path / "fit.json").read_text())["about"] == about


def test_the_answer_is_written_by_the_endings_of_files(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    service.on("POST /fit", *[Reply(202, fit_json(result=FIT | {"levels": [LEVEL | {"name": "=a|b"}]}))] * 2)
    files = ["-o", "fit.json", "-o", "fit.md", "-o", "fit.csv"]
    done = run("fit", "spec.json", "--object", "4,9", "--url", service.url, *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["wrote fit.json", "wrote fit.md", "wrote fit.csv"]
    assert json.loads((tmp_path / "fit.json").read_text())["levels"][0]["name"] == "=a|b"
    rows = list(csv.reader((tmp_path / "fit.csv").read_text().splitlines()))
    assert [len(row) for row in rows] == [len(rows[0])] * 2
    told = dict(zip(*rows, strict=True))
    assert told["layer"] == "'=a|b", "a spreadsheet would compute it"
    assert (told["stride_y"], told["erf_size"], told["mass_50_side"], told["object_4"], told["object_9"]) == (
        "1.0",
        "4.4",
        "6.25",
        "holds",
        "small field",
    )
    text = (tmp_path / "fit.md").read_text()
    assert "| layer | role | stride |" in text
    assert "| =a\\|b | head | 1x1 |" in text
    assert "4 px: head second holds it." in text
    silent = run("fit", "spec.json", "--object", "4,9", "--url", service.url, "--json", "-o", "again.json")
    assert json.loads(silent.stdout) == json.loads((tmp_path / "again.json").read_text())


@pytest.mark.parametrize(
    ("name", "said"),
    [("fit.txt", ".json, .md, .csv"), ("nowhere/fit.csv", "is not a folder"), ("folder.md", "is a folder")],
)
@pytest.mark.parametrize("command", [("fit", "--object", "4"), ("tiles", "--tile", "16"), ("advise", "--object", "4")])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    run: Run, tmp_path: Path, command: tuple[str, ...], name: str, said: str
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "folder.md").mkdir()
    done = run(command[0], "spec.json", *command[1:], "-o", name)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_images_are_stored_first(client: Any, service: Service) -> None:
    stored = {"size": 3, "sha256": "b" * 64, "created_at": "2026-01-02T00:00:00Z", "kind": "file"}
    service.on("POST /files", Reply(201, stored))
    service.on("POST /fit", Reply(202, fit_json()))
    client.fit(SPEC, objects=[4], images=b"\x93NUMPY", input={"mean": [0.5]})
    asked = json.loads(service.seen[-1].body)["input"]
    assert (asked["source"], asked["images"], asked["mean"]) == ("images", "b" * 64, [0.5])


def test_the_command_judges_by_the_box_with_half_of_the_mass(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    done = run("fit", "spec.json", "--object", "2.5,9", "--inputs", "4", "--by", "mass_50_side", "-o", "fit.json")
    assert done.returncode == 0, done.stderr
    assert "holds: the 50 % box is at least 0.72 times the object" in done.stdout
    answer = json.loads((tmp_path / "fit.json").read_text())
    (level,) = answer["levels"]
    assert answer["by"] == "mass_50_side"
    assert "half of the mass is at least 0.72 times" in answer["rule"]
    assert f"2.5 px: head second holds it (50 % box {level['mass_50_side']:.3g} px" in done.stdout
    assert level["mass_50_stderr"] is not None
    signal = {"name": "line", "input": {"channels": 1, "size": [32]}, "layers": [{"type": "conv", "kernel_size": 5}]}
    (tmp_path / "line.json").write_text(json.dumps(signal))
    refused = run("fit", "line.json", "--object", "3", "--by", "mass_50_side")
    assert refused.returncode != 0
    assert "of a signal" in " ".join(refused.stderr.replace("│", " ").split())


def test_the_command_fits_here(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    done = run("fit", "spec.json", "--object", "2.5,9,40", "--inputs", "4", "--json")
    former = run("fit", "spec.json", "--object", "2.5,9,40", "--samples", "4", "--json")
    assert former.stdout == done.stdout
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    (level,) = answer["levels"]
    assert (level["name"], level["role"], level["stride"], level["trf_size"]) == ("second", "head", [1, 1], [5, 5])
    assert level["holds"] == [2.5]
    assert [one["best"] for one in answer["objects"]] == ["second", None, None]
    np.save(tmp_path / "images.npy", np.ones((1, 1, 16, 16), np.float32))
    on_images = run("fit", "spec.json", "--object", "2.5", "--samples", "4", "--images", "images.npy", "--json")
    assert on_images.returncode == 0, on_images.stderr
    assert json.loads(on_images.stdout)["levels"][0]["erf_size"] > 3
    wrong = run("fit", "spec.json", "--object", "large")
    assert wrong.returncode == 2
    assert "--object 'large' is not sizes in pixels" in " ".join(wrong.stderr.replace("│", " ").split())
