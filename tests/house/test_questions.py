"""Tiles and fit through the real installation: REST to a jailed worker and back, the SDK, the command line."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.house.conftest import PATIENCE, House, environment, wait_until

from erfscope import Client, Status, errors

MEAN = {
    "name": "mean", "input": {"channels": 2, "size": [32, 32]},
    "layers": [
        {"type": "conv", "name": "local", "out_channels": 2, "kernel_size": 3, "padding": "same"},
        {"type": "adaptive_avg_pool", "output_size": 1},
        {"type": "upsample", "size": [32, 32], "mode": "nearest"},
        {"type": "add", "inputs": ["local", "previous"]},
    ],
}  # fmt: skip


@pytest.fixture
def http(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


def ended(http: httpx2.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The job that a body becomes, once it has ended."""
    accepted = http.post(path, json=body)
    assert accepted.status_code == 202, accepted.text

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = http.get(accepted.headers["Location"], headers={"Prefer": "wait=5"}).json()
        return job if Status(job["status"]).is_terminal else None

    job: dict[str, Any] = wait_until(path, look)
    return job


def stored(http: httpx2.Client, model: bytes) -> dict[str, str]:
    sha256 = http.post("/models", content=model, headers={"Content-Type": "application/octet-stream"}).json()["sha256"]
    return {"sha256": sha256}


def test_tiles_over_http_by_sdk_and_in_this_process_are_the_same(
    house: House, http: httpx2.Client, onnx_model: bytes, tmp_path: Path
) -> None:
    job = ended(http, "/tiles", {"model": stored(http, onnx_model), "tile": 64})
    assert job["status"] == "succeeded", job["error"]
    result = job["result"]
    assert (result["halo"], result["alignment"]) == ([[4, 2], [4, 2]], [2, 2])  # reach 1 + 2·1, less a stride behind
    assert result["checked"]["max_error"] < 1e-5
    with Client(house.url) as client:
        assert client.tiles(onnx_model, tile=64).model_dump(mode="json") == result
    (tmp_path / "model.onnx").write_bytes(onnx_model)
    command = [sys.executable, "-m", "erfscope", "tiles", "model.onnx", "--tile", "64", "--json"]
    done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True)
    here = json.loads(done.stdout)
    assert {**here, "checked": None} == {**result, "checked": None}


def test_fit_over_http_by_sdk_and_in_this_process_are_the_same(
    house: House, http: httpx2.Client, onnx_model: bytes, tmp_path: Path
) -> None:
    job = ended(http, "/fit", {"model": stored(http, onnx_model), "objects": [4, 5.5, 30], "samples": 4})
    assert job["status"] == "succeeded", job["error"]
    result = job["result"]
    assert [(level["name"], level["role"], level["trf_size"]) for level in result["levels"]] == [
        ("second", "head", [7, 7])
    ]
    assert [one["verdict"] for one in result["levels"][0]["objects"]][2] == "small field"
    with Client(house.url) as client:
        assert client.fit(onnx_model, objects=[4, 5.5, 30], samples=4).model_dump(mode="json") == result
    (tmp_path / "model.onnx").write_bytes(onnx_model)
    words = ["fit", "model.onnx", "--object", "4,5.5,30", "--samples", "4", "--json"]
    command = [sys.executable, "-m", "erfscope", *words]
    done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == result


def test_what_no_tile_can_give_is_a_failed_job_with_its_reason(house: House, http: httpx2.Client) -> None:
    job = ended(http, "/tiles", {"model": {"architecture": MEAN}, "tile": 32})
    assert (job["status"], job["error"]["type"]) == ("failed", "/problems/unsupported-model")
    with Client(house.url) as client, pytest.raises(errors.UnsupportedModel, match="whole input"):
        client.tiles(MEAN, tile=32)


def test_a_job_is_canceled(http: httpx2.Client) -> None:
    large = {"name": "long", "input": {"channels": 3, "size": [64, 64]}, "layers": [
        {"type": "repeat", "times": 24, "layers": [
            {"type": "conv", "out_channels": 64, "kernel_size": 3, "padding": "same"}, {"type": "relu"}]}]}  # fmt: skip
    accepted = http.post("/tiles", json={"model": {"architecture": large}, "tile": 1024})
    place = accepted.headers["Location"]
    assert http.delete(place).status_code == 202
    job = wait_until("the end", lambda: Status((now := http.get(place).json())["status"]).is_terminal and now)
    assert job["status"] == "canceled"
