"""Tiles by SDK and command, in this process and by a service."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests.client.command_line import SPEC, Run
from tests.client.conftest import Reply, Service, problem_json

from erfscope import _questions, errors
from erfscope_contract.request import ModelRef

TILES = {
    "tile": [16, 16], "halo": [[2, 2], [2, 2]], "alignment": [1, 1], "crop": [[2, 14], [2, 14]], "step": [12, 12],
    "efficiency": 0.5625, "reach": {"before": [2, 2], "after": [2, 2]}, "input_shape": [1, 16, 16],
    "layers": [{"name": "second", "operator": "conv", "shape": [2, 16, 16], "spatial_axes": [1, 2], "stride": [1, 1],
                "trf_size": [5, 5], "reach": {"before": [2, 2], "after": [2, 2]}, "crop": [[2, 14], [2, 14]],
                "causal": False}],
    "checked": {"image": [24, 24], "tiles": 5, "max_error": 1.5e-7, "outside": 0.4, "dtype": "float32"},
    "notes": ["said"],
    "engine": "0", "torch": "2",
}  # fmt: skip


def tiles_json(status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """A whole TilesJob."""
    whole = {
        "id": "tiles-1", "status": status, "created_at": "2026-01-02T00:00:00Z", "model": {"name": "tiny"},
        "request": {"model": {"architecture": SPEC}, "tile": 16}, "links": {"self": "/tiles/tiles-1"},
        "result": TILES if status == "succeeded" else None,
    }  # fmt: skip
    return whole | changes


def test_the_sdk_waits_for_the_answer(client: Any, service: Service) -> None:
    service.on("POST /tiles", Reply(202, tiles_json("queued")))
    service.on("GET /tiles/tiles-1", Reply(body=tiles_json("running", stage="verify")), Reply(body=tiles_json()))
    told: list[str] = []
    answer = client.tiles(SPEC, tile=(16, 16), image=[40, 50], progress=lambda stage, share: told.append(stage))
    assert (answer.halo, answer.crop, answer.checked.max_error) == ([(2, 2)] * 2, [(2, 14)] * 2, 1.5e-7)
    assert "verify" in told
    body = json.loads(service.seen[0].body)
    assert (body["tile"], body["image"]) == ([16, 16], [40, 50])


def test_refusals_and_typos_are_errors(client: Any, service: Service) -> None:
    failed = tiles_json("failed", error=problem_json("unsupported-model", "each of its units sees the whole input"))
    service.on("POST /tiles", Reply(202, failed))
    with pytest.raises(errors.UnsupportedModel, match="sees the whole input"):
        client.tiles(SPEC, tile=16)
    with pytest.raises(errors.InvalidRequest, match="halo"):
        client.tiles(SPEC, tile=16, overlap=2)


def test_the_command_shows_tables(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    grid = {
        "image": [30, 30],
        "tiles": [[[0, 16], [12, 28], [14, 30]]] * 2,
        "keeps": [[[0, 14], [14, 16], [16, 30]]] * 2,
        "count": 9,
    }
    service.on("POST /tiles", Reply(202, tiles_json(result=TILES | {"grid": grid})))
    done = run("tiles", "spec.json", "--tile", "16", "--image", "30,30", "--url", service.url)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "y 16 1 2 2 2:14 12 2 + 2" in told
    assert "second conv 1x1 5x5 2x16x16 2:14, 2:14" in told
    assert "Of an inner tile of 16×16 px 12×12 are right. The next one is 12×12 px further on" in told
    assert "overlap by 4×4 px; 56% of the work is kept" in told
    assert "5 tiles of 1 image of noise of 24×24 px against the whole, with the halo: largest" in told
    assert "difference 1.5e-07" in told
    assert "y: 0, 12, 14" in told
    assert "note: said" in told
    assert "weights" not in told, "an answer of an older service does not say which"
    assert json.loads(service.seen[-1].body)["tile"] == 16


def test_the_command_cuts_here(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    done = run("tiles", "spec.json", "--tile", "32,20", "--json", "-o", "tiles.csv", "-o", "tiles.md")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    heads, first, second = csv.reader((tmp_path / "tiles.csv").read_text().splitlines())
    assert dict(zip(heads, first, strict=True)) | {"axis": "x", "tile": "20", "keep_stop": "18", "step": "16"} == dict(
        zip(heads, second, strict=True)
    )
    assert first[:8] == ["y", "32", "1", "2", "2", "2", "30", "28"]
    assert "| y | 32 | 1 | 2 | 2 | 2:30 | 28 | 2 + 2 |" in (tmp_path / "tiles.md").read_text()
    assert (answer["halo"], answer["alignment"], answer["crop"]) == ([[2, 2]] * 2, [1, 1], [[2, 30], [2, 18]])
    assert answer["checked"]["max_error"] < 1e-5
    assert answer["about"] == {
        "model": SPEC["name"], "weights": "given", "inputs": 1, "draws": 1, "source": "normal", "seed": 0
    }  # fmt: skip
    said = f"{SPEC['name']}: weights by the spec's scheme; 1 input (normal); seed 0; input "
    assert said in (tmp_path / "tiles.md").read_text()
    small = run("tiles", "spec.json", "--tile", "4")
    assert small.returncode == 2
    assert "at least 5 px" in " ".join(small.stderr.replace("│", " ").split())
    wrong = run("tiles", "spec.json", "--tile", "wide")
    assert wrong.returncode == 2
    assert "--tile 'wide' is not a whole number of pixels" in " ".join(wrong.stderr.replace("│", " ").split())


def test_where_little_is_kept_a_larger_tile_is_named(run: Run, spec: Path) -> None:
    """Of 6 px with a halo of 2 + 2 a ninth is kept; 8 px keep 4."""
    assert "Of tiles of 8×8 px half is kept along each axis." in run("tiles", str(spec), "--tile", "6").stdout
    assert "half is kept" not in run("tiles", str(spec), "--tile", "16").stdout


def test_sizes_may_be_lengths(run: Run, spec: Path) -> None:
    sizes = ("--tile", "8mm", "--image", "20mm,16.2mm", "--halo", "0.6mm")
    answer = json.loads(run("tiles", str(spec), *sizes, "--spacing", "0.5", "--json").stdout)
    assert (answer["tile"], answer["grid"]["image"], answer["halo"]) == ([16, 16], [40, 32], [[2, 2]] * 2)


@pytest.mark.parametrize("tile", [0, 10**6, "x", [0, 64]])
def test_a_wrong_size_is_named_by_its_field(tile: Any) -> None:
    """Not by the form that it was held against: a size is one number, or one for each axis."""
    with pytest.raises(errors.APIError) as refused:
        _questions.build(_questions.TILES, ModelRef(sha256="0" * 64), {"tile": tile})
    assert {error.pointer.split("/")[1] for error in refused.value.problem.errors} == {"tile"}
    assert not any("[" in error.pointer or "-" in error.pointer for error in refused.value.problem.errors)


def test_the_errors_of_smaller_halos_are_listed(run: Run, spec: Path) -> None:
    rows = json.loads(run("tiles", str(spec), "--tile", "16", "--json").stdout)["checked"]["by_halo"]
    assert [row["halo"] for row in rows] == [[[n, n]] * 2 for n in (0, 1, 2)]
    lines = [line.strip() for line in run("tiles", str(spec), "--tile", "16").stdout.splitlines()]
    start = lines.index("Error by halo")
    assert lines[start + 1].split() == ["halo", "y", "halo", "x", "largest", "error", "rms", "error", "step", "kept"]
    errors = [[f"{row['max_error']:.2g}", f"{row['relative_error']:.2g}"] for row in rows]
    assert [line.split()[-4:-2] for line in lines[start + 2 : start + 5]] == errors
