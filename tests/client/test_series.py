"""Series: what is sent, and what is made of the answers; both faces of the SDK, and the command."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import PNG, Reply, Service, problem_json

from erfscope import SeriesUnfinished, errors
from erfscope_contract.series import Sweep, swept

SPEC = {
    "name": "swept",
    "input": {"channels": 3, "size": [32, 32]},
    "layers": [{"type": "conv", "name": "stem", "out_channels": 4, "kernel_size": 3, "padding": "same"}],
}
SWEEP = {"architecture": SPEC, "parameters": ["/layers/0/name"], "values": ["a", "b"]}


def series_json(status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """A whole Series of two points."""
    points = [
        {"label": f"{n}", "x": n, "job": f"job-{n}", "status": status, "metrics": {"erf_size": 10.0 * n}, "stderr": {}}
        for n in (1, 2)
    ]
    whole = {
        "id": "series-1",
        "status": status,
        "progress": 1.0,
        "created_at": "2026-01-02T00:00:00Z",
        "x_label": "depth",
        "metrics": ["erf_size"],
        "points": points,
        "trends": {"erf_size": {"power": {"slope": 1.0, "slope_error": None, "intercept": 2.3}, "change": None}},
        "links": {"self": "/series/series-1", "chart": "/series/series-1/chart.png"},
    }
    return whole | changes


def test_models_are_stored_then_submitted_together(client: Any, service: Service) -> None:
    stored = {"size": 4, "name": "net.onnx", "status": "queued"}
    service.on("POST /models", Reply(202, stored | {"sha256": "a" * 64}), Reply(202, stored | {"sha256": "b" * 64}))
    service.on("POST /series", Reply(202, series_json("queued")))
    handle = client.series([b"onnx", b"onny", SPEC], x=[0, 5, 9], labels=["a", "b", "c"], x_label="epoch", inputs=4)
    assert handle.id == "series-1"
    body = json.loads(service.seen[-1].body)
    assert [member["model"].get("sha256") for member in body["models"]] == ["a" * 64, "b" * 64, None]
    assert [member["x"] for member in body["models"]] == [0, 5, 9]
    assert body["models"][2]["model"]["architecture"]["name"] == "swept"
    assert body["request"] == {"average": {"inputs": 4}}
    assert service.seen[-1].headers["idempotency-key"]


def test_a_sweep_takes_a_spec_in_any_form(client: Any, service: Service, tmp_path: Path) -> None:
    service.on("POST /series", Reply(202, series_json("queued")))
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    for spec in (SPEC, str(path), "preset:plain-20-relu"):
        client.series(sweep={"architecture": spec, "parameters": ["/layers/0/name"], "values": ["a", "b"]})
        body = json.loads(service.seen[-1].body)
        assert body["sweep"]["architecture"]["layers"]


def test_the_result_waits_for_every_point(client: Any, service: Service) -> None:
    service.on("GET /series/series-1", Reply(body=series_json("running")), Reply(body=series_json()))
    service.on("GET /series/series-1/chart.png", Reply(body=PNG))
    told: list[float] = []
    handle = client.series_of("series-1")
    series = handle.result(progress=lambda stage, share: told.append(share))
    assert [point.metrics["erf_size"] for point in series.points] == [10, 20]
    assert told
    assert handle.chart("erf_size") == PNG
    assert service.seen[-1].query == "metric=erf_size"


def test_points_that_did_not_succeed_are_named(client: Any, service: Service) -> None:
    failed = series_json("failed")
    failed["points"][1] |= {"metrics": {}, "error": problem_json("no-gradient", "the unit is dead")}
    service.on("GET /series/series-1", Reply(body=failed))
    with pytest.raises(SeriesUnfinished, match="1 of 2 points did not succeed: 2: the unit is dead") as caught:
        client.series_of("series-1").result()
    assert caught.value.series.points[0].metrics["erf_size"] == 10


def test_a_timeout_says_that_it_goes_on(client: Any, service: Service) -> None:
    service.on("GET /series/series-1", Reply(body=series_json("running")))
    with pytest.raises(SeriesUnfinished, match="still running"):
        client.series_of("series-1").result(timeout=0)


def test_cancel(client: Any, service: Service) -> None:
    service.on("GET /series/series-1", Reply(body=series_json("running")))
    service.on("DELETE /series/series-1", Reply(202, series_json("canceled")))
    assert client.series_of("series-1").cancel().status == "canceled"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": [SPEC, SPEC], "x": [1]}, "x has 1 entries for 2 models"),
        ({"models": [SPEC, SPEC], "sweep": SWEEP}, "exactly one"),
        ({"sweep": SWEEP | {"architecture": b"onnx"}}, "ONNX model"),
        ({"models": [SPEC]}, "at least 2"),
        ({"models": "preset:plain-5-relu"}, "a list of models"),
        ({"models": [SPEC, SPEC], "x": [1, None]}, "no number"),
        ({"models": [SPEC, SPEC], "labels": ["", "b"]}, "/label"),
        ({"models": [SPEC, SPEC], "metrics": ["nosuch"]}, "no 'nosuch'"),
        ({"sweep": SWEEP, "x": [1, 2]}, "go with models"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_sent(
    client: Any, service: Service, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.InvalidRequest, match=words):
        client.series(**arguments)
    assert service.seen == []


def test_a_table_for_pandas(client: Any, service: Service) -> None:
    pytest.importorskip("pandas")
    service.on("GET /series/series-1", Reply(body=series_json()))
    frame = client.series_of("series-1").to_dataframe()
    assert list(frame["erf_size"]) == [10, 20]
    assert list(frame["x"]) == [1, 2]


def test_pointers_find_layers_by_name_and_by_index() -> None:
    sweep = Sweep(architecture=SPEC, parameters=["/layers/stem/dilation", "/layers/0/padding"], values=[1, 2])  # type: ignore[arg-type]
    assert [spec["layers"][0]["dilation"] for spec in swept(sweep)] == [1, 2]
    assert [spec["layers"][0]["padding"] for spec in swept(sweep)] == [1, 2]
    assert "dilation" not in SPEC["layers"][0]  # type: ignore[operator]  # the original is as it was
    lost = Sweep(architecture=SPEC, parameters=["/layers/7/dilation"], values=[1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no '7'"):
        swept(lost)


def test_values_put_twice_stay_apart() -> None:
    block = {"type": "repeat", "times": 2, "layers": [{"type": "relu"}]}
    sweep = Sweep(architecture=SPEC, parameters=["/layers/0", "/layers/0/layers/0"], values=[block, block])
    assert swept(sweep)[0]["layers"][0]["layers"] == [block]
