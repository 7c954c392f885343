"""The whole way of a job through the real house: HTTP in, picture out, and what it must survive on the way."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from tests.house.conftest import PATIENCE, House, environment, processes, wait_until

from erfscope import Client, Status, _local
from erfscope._models import prepare
from erfscope._request import build
from erfscope_picture import render

SPEC: dict[str, Any] = {
    "name": "three",
    "input": {"channels": 1, "size": [33, 29]},
    "init": "kaiming_normal",
    "layers": [
        {"type": "repeat", "times": 3, "layers": [
            {"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": "same"}, {"type": "relu"}]},
    ],
}  # fmt: skip


@pytest.fixture
def http(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


def post_model(http: httpx2.Client, model: bytes, **request: Any) -> httpx2.Response:
    """As `curl -F model=@model.onnx -F request=… URL/erf` does."""
    form = {"request": json.dumps(request)} if request else {}
    return http.post("/erf", files={"model": ("model.onnx", model)}, data=form)


def post_spec(http: httpx2.Client, **request: Any) -> httpx2.Response:
    return http.post("/erf", json={"model": {"architecture": SPEC}, **request})


def ended(http: httpx2.Client, accepted: httpx2.Response) -> dict[str, Any]:
    """The job behind a 202, polled at its Location until it has ended."""
    assert accepted.status_code == 202, accepted.text
    place = accepted.headers["Location"]
    assert place == f"/erf/{accepted.json()['id']}"

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = http.get(place, headers={"Prefer": "wait=5"}).json()
        return job if Status(job["status"]).is_terminal else None

    job: dict[str, Any] = wait_until("the job", look)
    return job


def succeeded(http: httpx2.Client, accepted: httpx2.Response) -> dict[str, Any]:
    job = ended(http, accepted)
    assert job["status"] == "succeeded", job["error"]
    return job


def test_an_onnx_file_from_post_to_heatmap(http: httpx2.Client, onnx_model: bytes) -> None:
    accepted = post_model(http, onnx_model, average={"inputs": 8, "seed": 70})  # no other test's question
    assert float(accepted.headers["Retry-After"]) > 0
    job = succeeded(http, accepted)
    result = job["result"]
    assert result["layer"]["name"] == "second"
    assert result["trf"]["size"] == [7, 7]
    assert result["unit"] == [10, 12]
    # unit (10, 12) of a stride-2 tensor is centred on pixel (20, 24)
    assert result["trf"]["box"] == [[17, 24], [21, 28]]
    assert 0 < result["erf"]["size"] <= 7
    assert result["erf"]["ratio"] == pytest.approx(result["erf"]["size"] / 7)
    assert set(result["mass"]) == {"0.20", "0.30", "0.50", "0.99"}
    assert job["attempt"] == 1

    array = np.load(io.BytesIO(http.get(job["links"]["map"]).content), allow_pickle=False)
    assert (array.shape, array.dtype) == ((40, 48), np.float32)
    assert array.max() == 1
    rows, columns = np.nonzero(array)
    assert set(rows) <= set(range(17, 24))
    assert set(columns) <= set(range(21, 28))

    picture = http.get(job["links"]["heatmap"])
    assert picture.headers["Content-Type"] == "image/png"
    with Image.open(io.BytesIO(picture.content)) as image:
        image.load()
        assert min(image.size) > 300
    # the worker drew it from the very map and result that the service hands out
    assert picture.content == render(array, result, title="model.onnx", compact=True)


def test_the_same_question_again_has_the_same_bytes(http: httpx2.Client, onnx_model: bytes) -> None:
    question = {"average": {"inputs": 4, "seed": 11}}
    first = succeeded(http, post_model(http, onnx_model, **question))
    again = post_model(http, onnx_model, **question)
    assert again.status_code == 202
    second = again.json()
    assert (second["status"], second["cached"], first["cached"]) == ("succeeded", True, False)
    assert second["id"] != first["id"]
    assert second["result"] == first["result"]
    for name in ("heatmap", "map"):
        assert http.get(second["links"][name]).content == http.get(first["links"][name]).content
    other = succeeded(http, post_model(http, onnx_model, average={"inputs": 4, "seed": 12}))
    assert not other["cached"]


def test_a_stored_model_is_the_same_question(http: httpx2.Client, onnx_model: bytes) -> None:
    stored = http.post("/models", content=onnx_model, headers={"Content-Type": "application/octet-stream"})
    assert stored.status_code == 202
    sha256 = stored.json()["sha256"]
    sent = succeeded(http, post_model(http, onnx_model, average={"inputs": 3}))
    asked = http.post("/erf", json={"model": {"sha256": sha256}, "average": {"inputs": 3}})
    assert asked.json()["cached"]
    assert asked.json()["result"] == sent["result"]


def test_a_spec_as_json(http: httpx2.Client) -> None:
    job = succeeded(http, post_spec(http, average={"inputs": 4}))
    assert job["result"]["trf"]["size"] == [7, 7]
    assert job["result"]["input_shape"] == [1, 33, 29]
    assert job["model"] == {"sha256": None, "name": "three"}


def test_events_end_with_the_result(http: httpx2.Client) -> None:
    accepted = post_spec(http, average={"inputs": 5})
    with http.stream("GET", accepted.json()["links"]["events"]) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        told = [json.loads(line.removeprefix("data:")) for line in stream.iter_lines() if line.startswith("data:")]
    assert told[-1]["status"] == "succeeded"
    assert told[-1]["result"]["trf"]["size"] == [7, 7]


def test_sdk_and_command_line(house: House, onnx_model: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_model)
    words = ["measure", "model.onnx", "--inputs", "8", "--json", "-o", "map.png", "-o", "map.npy", "--url", house.url]
    command = [sys.executable, "-m", "erfscope", *words]
    done = subprocess.run(
        command, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    with Client(house.url) as client:
        result = client.run(tmp_path / "model.onnx", inputs=8)
        assert json.loads(done.stdout) == json.loads(result.to_json())
        assert (tmp_path / "map.png").read_bytes() == result.png()
        assert np.array_equal(np.load(tmp_path / "map.npy"), result.array())


def test_a_heatmap_over_the_image(house: House, tmp_path: Path) -> None:
    """By a service and in this process: the same bytes."""
    image = np.random.default_rng(5).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    path, fields = tmp_path / "image.png", {"inputs": 1, "mean": [0.5], "std": [0.25]}
    with Client(house.url) as client:
        result = client.run(SPEC, images=path, **fields)
        over = result.png(overlay=True)
        assert over != result.png()
    request = build(None, fields, hashlib.sha256(path.read_bytes()).hexdigest())
    here = _local.measure(prepare(SPEC), request, path, lambda stage, share: None)
    assert here.png(overlay=True) == over


def test_a_torch_module(house: House) -> None:
    import torch

    class Branches(torch.nn.Module):
        """Two parallel 7×7 convolutions, summed: receptive field 7, which several public tools call 13."""

        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = (torch.nn.Conv2d(3, 4, 7, padding=3) for _ in range(2))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.add(self.left(image), self.right(image))

    with Client(house.url) as client:
        result = client.run(Branches(), input_shape=(3, 24, 24), inputs=2)
    assert result.data.trf.size == [7, 7]


@pytest.mark.parametrize("broken", [b"not ONNX at all", b"\x08\x08" + bytes(1000), b"\x80\x04\x95pickle"])
def test_a_broken_model_fails_and_harms_nothing(http: httpx2.Client, broken: bytes) -> None:
    job = ended(http, post_model(http, broken))
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["error"]["type"] == "/problems/invalid-model"
    health = http.get("/health/ready")
    assert (health.status_code, health.json()["workers"]) == (200, 1)


def test_a_truncated_model_and_then_a_good_one(http: httpx2.Client, onnx_model: bytes) -> None:
    job = ended(http, post_model(http, onnx_model[: len(onnx_model) // 2]))
    assert job["error"]["type"] == "/problems/invalid-model"
    succeeded(http, post_model(http, onnx_model, average={"inputs": 2}))


def test_a_layer_that_is_not_there(http: httpx2.Client, onnx_model: bytes) -> None:
    job = ended(http, post_model(http, onnx_model, target={"layer": "nowhere"}))
    assert job["error"]["type"] == "/problems/invalid-target"
    assert "nowhere" in job["error"]["detail"]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")
def test_a_killed_child_is_a_second_attempt(house: House, http: httpx2.Client, onnx_model: bytes) -> None:
    question = {"average": {"inputs": 20_000, "seed": 3}}
    accepted = post_model(http, onnx_model, **question)
    (child,) = wait_until("the child that runs the job", house.children, pause=0.005)
    os.kill(child, signal.SIGKILL)
    job = succeeded(http, accepted)
    assert job["attempt"] == 2
    assert job["result"]["samples"]["used"] == 20_000
    assert http.get("/health/ready").json()["workers"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_stopped_and_started_again(house: House, onnx_model: bytes) -> None:
    with Client(house.url) as client:
        before = client.submit(onnx_model, inputs=7)
        picture = before.result().png()
    family = house.family()
    assert len(family) >= 5  # up, store, worker, zygote, service
    assert house.stop() == 0
    assert not family & processes().keys()
    house.start()
    with Client(house.url) as client:
        after = client.job(before.id)
        assert after.status is Status.SUCCEEDED
        assert after.job.result == before.job.result
        assert after.result().png() == picture
        assert client.submit(onnx_model, inputs=7).job.cached
