"""POST /series: points are jobs, the series is their trend."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
import redis
from tests.service.conftest import Worker, a_map, a_result, a_spec, assert_problem

from erfscope_picture import render
from erfscope_service.settings import ServiceSettings

ARCHITECTURE = {
    "name": "swept",
    "input": {"channels": 3, "size": [32, 32]},
    "layers": [
        {"type": "conv", "name": "stem", "out_channels": 4, "kernel_size": 3, "padding": "same"},
        {"type": "repeat", "times": 2, "layers": [{"type": "relu"}]},
    ],
}


def a_sweep(**changes: Any) -> dict[str, Any]:
    sweep = {"architecture": ARCHITECTURE, "parameters": ["/layers/stem/dilation"], "values": [1, 2, 4]}
    return {"sweep": sweep | changes, "x_label": "dilation"}


def finish(worker: Worker, series: dict[str, Any], sizes: list[float]) -> None:
    """Every point's answer: ERF sizes with an error of 1 %."""
    for point, size in zip(series["points"], sizes, strict=True):
        record = worker.claim(point["job"])
        result = json.loads(a_result())
        result["erf"]["size"], result["stderr"] = size, {"erf_size": 0.01 * size}
        worker.succeed(record, json.dumps(result).encode(), render(a_map(), result))


def test_a_sweep_becomes_jobs_a_trend_and_a_chart(client: httpx2.Client, worker: Worker) -> None:
    response = client.post("/series", json=a_sweep())
    assert response.status_code == 202, response.text
    series = response.json()
    assert response.headers["location"] == f"/series/{series['id']}"
    assert [point["x"] for point in series["points"]] == [1, 2, 4]
    specs = [
        client.get(f"/erf/{point['job']}").json()["request"]["model"]["architecture"] for point in series["points"]
    ]
    assert [spec["layers"][0]["dilation"] for spec in specs] in ([1, 2, 4], [[1], [2], [4]], [[1, 1], [2, 2], [4, 4]])
    assert series["status"] == "queued"
    finish(worker, series, [10.0, 20.0, 40.0])
    done = client.get(f"/series/{series['id']}", headers={"Prefer": "wait=5"}).json()
    assert done["status"] == "succeeded"
    assert done["progress"] == 1
    assert [point["metrics"]["erf_size"] for point in done["points"]] == [10, 20, 40]
    power, change = done["trends"]["erf_size"]["power"], done["trends"]["erf_size"]["change"]
    assert abs(power["slope"] - 1) < 1e-9
    assert power["slope_error"] > 0
    assert change["difference"] == 30
    assert change["ratio"] == 4
    chart = client.get(f"/series/{series['id']}/chart.png", params={"metric": "erf_size,mass_50_side"})
    assert chart.content.startswith(b"\x89PNG")


def test_models_with_epochs_of_which_the_first_is_zero_have_a_change_but_no_power_law(
    client: httpx2.Client, worker: Worker
) -> None:
    models = [{"model": a_spec(name=f"epoch-{n}")["model"], "x": n, "label": f"epoch {n}"} for n in (0, 5)]
    series = client.post("/series", json={"models": models, "metrics": ["erf_size"]}).json()
    finish(worker, series, [10.0, 12.5])
    done = client.get(f"/series/{series['id']}").json()
    assert done["trends"]["erf_size"]["power"] is None
    change = done["trends"]["erf_size"]["change"]
    assert change["difference"] == 2.5
    assert abs(change["difference_error"] - (0.1**2 + 0.125**2) ** 0.5) < 1e-12


def test_one_failed_point_fails_the_series_and_leaves_the_others(client: httpx2.Client, worker: Worker) -> None:
    body = a_sweep(architecture=ARCHITECTURE | {"name": "one fails"}, values=[1, 2])
    series = client.post("/series", json=body).json()
    first, second = (point["job"] for point in series["points"])
    worker.fail(worker.claim(first), "no-gradient", "dead")
    worker.measure(worker.claim(second))
    done = client.get(f"/series/{series['id']}").json()
    assert done["status"] == "failed"
    assert done["points"][0]["error"]["type"] == "/problems/no-gradient"
    assert done["points"][1]["metrics"]["erf_size"] == 17.7
    assert done["trends"]["erf_size"] == {"power": None, "change": None}


def test_a_point_whose_job_was_removed_says_so(client: httpx2.Client, worker: Worker) -> None:
    body = a_sweep(architecture=ARCHITECTURE | {"name": "one is removed"}, values=[1, 2])
    series = client.post("/series", json=body).json()
    first, second = (point["job"] for point in series["points"])
    for job in (first, second):
        worker.measure(worker.claim(job))
    assert client.delete(f"/erf/{first}", params={"purge": 1}).status_code == 204
    gone, there = client.get(f"/series/{series['id']}").json()["points"]
    assert (gone["status"], gone["error"]["type"], there["error"]) == ("expired", "/problems/not-found", None)
    assert "it was removed" in gone["error"]["detail"]


def test_a_key_repeats_the_same_series(client: httpx2.Client) -> None:
    body, headers = a_sweep(architecture=ARCHITECTURE | {"name": "keyed"}), {"Idempotency-Key": "series-key"}
    first = client.post("/series", json=body, headers=headers).json()
    again = client.post("/series", json=body, headers=headers).json()
    assert [point["job"] for point in again["points"]] == [point["job"] for point in first["points"]]
    assert again["id"] == first["id"]
    other = client.post("/series", json=body | {"x_label": "other"}, headers=headers)
    assert_problem(other, 422, "idempotency-mismatch")


def test_one_key_has_one_series_however_close_the_calls(base_url: str) -> None:
    async def posted(client: httpx2.AsyncClient, n: int, x_label: str) -> int:
        headers = {"Idempotency-Key": f"close-{n}"}
        return (await client.post("/series", json=a_sweep() | {"x_label": x_label}, headers=headers)).status_code

    async def codes() -> list[list[int]]:
        async with httpx2.AsyncClient(base_url=base_url, timeout=30) as client:
            return [list(await asyncio.gather(posted(client, n, "a"), posted(client, n, "b"))) for n in range(5)]

    assert [sorted(pair) for pair in asyncio.run(codes())] == [[202, 422]] * 5


@pytest.mark.parametrize("average", [{"inputs": "4"}, {"inputs": True}])
def test_a_series_is_as_strict_as_its_measurements(client: httpx2.Client, average: dict[str, Any]) -> None:
    refused = assert_problem(
        client.post("/series", json=a_sweep() | {"request": {"average": average}}), 422, "invalid-request"
    )
    assert refused["errors"][0]["pointer"] == "/request/average/inputs"


def test_purge_removes_a_series_that_has_ended_and_its_jobs(client: httpx2.Client) -> None:
    series = client.post("/series", json=a_sweep(architecture=ARCHITECTURE | {"name": "purged"})).json()
    place = f"/series/{series['id']}"
    assert_problem(client.delete(place, params={"purge": 1}), 409, "conflict")
    assert client.delete(place).status_code == 202
    assert client.delete(place, params={"purge": 1}).status_code == 204
    assert_problem(client.get(place), 404, "not-found")
    assert_problem(client.delete(place, params={"purge": 1}), 404, "not-found")
    assert [client.get(f"/erf/{point['job']}").status_code for point in series["points"]] == [404] * len(
        series["points"]
    )
    assert series["id"] not in [one["id"] for one in client.get("/series").json()["series"]]


def test_cancel_ends_the_points(client: httpx2.Client) -> None:
    series = client.post("/series", json=a_sweep(architecture=ARCHITECTURE | {"name": "canceled"})).json()
    response = client.delete(f"/series/{series['id']}")
    assert response.status_code == 202
    assert response.json()["status"] == "canceled"
    assert_problem(client.get(f"/series/{series['id']}/chart.png"), 409, "conflict")


def test_what_is_wrong_is_named_before_anything_is_submitted(client: httpx2.Client) -> None:
    before = client.get("/erf", params={"page_size": 100}).json()["jobs"]
    nowhere = assert_problem(
        client.post("/series", json=a_sweep(parameters=["/layers/nosuch/x"])), 422, "invalid-request"
    )
    assert "nosuch" in nowhere["detail"]
    invalid = assert_problem(client.post("/series", json=a_sweep(values=[1, -1])), 422, "invalid-request")
    assert invalid["errors"][0]["pointer"] == "/sweep/values/1"
    twice = client.post("/series", json=a_sweep() | {"models": []})
    assert_problem(twice, 422, "invalid-request")
    small = a_sweep(architecture=ARCHITECTURE | {"layers": [{"type": "conv", "out_channels": 4, "kernel_size": 3}]})
    small["sweep"] |= {"parameters": ["/layers/0/kernel_size"], "values": [3, 33]}
    too_small = client.post("/series", json=small).json()
    assert too_small["errors"][0]["pointer"] == "/sweep/values/1"
    assert client.get("/erf", params={"page_size": 100}).json()["jobs"] == before


def test_unknown_series_and_metrics(client: httpx2.Client) -> None:
    assert_problem(client.get("/series/nosuch"), 404, "not-found")
    series = client.post("/series", json=a_sweep(architecture=ARCHITECTURE | {"name": "metrics"})).json()
    assert_problem(client.get(f"/series/{series['id']}/chart.png?metric=nosuch"), 422, "invalid-request")
    assert_problem(
        client.post("/series", content=b"x", headers={"Content-Type": "text/plain"}), 415, "unsupported-media-type"
    )
    unknown = client.post("/series", json=a_sweep() | {"metrics": ["nosuch"]})
    assert assert_problem(unknown, 422, "invalid-request")["errors"][0]["pointer"] == "/metrics/0"


def test_a_refused_point_is_named_by_its_place_in_the_series(client: httpx2.Client) -> None:
    body = {"models": [{"model": {"architecture": ARCHITECTURE}}, {"model": {"sha256": "a" * 64}}]}
    refused = assert_problem(client.post("/series", json=body), 422, "invalid-request")
    assert refused["errors"][0]["pointer"] == "/models/1/model/sha256"


def test_values_are_told_and_labelled_as_they_were_written(client: httpx2.Client) -> None:
    wrong = assert_problem(client.post("/series", json=a_sweep(values=[1, None])), 422, "invalid-request")
    assert "the value null" in wrong["detail"]
    switched = a_sweep(parameters=["/layers/stem/bias"], values=[True, False])
    assert [point["label"] for point in client.post("/series", json=switched).json()["points"]] == ["true", "false"]


def test_places_that_no_axis_holds_are_refused(client: httpx2.Client) -> None:
    body = {"models": [{"model": {"architecture": ARCHITECTURE}, "x": x} for x in (1e308, -1e308)]}
    refused = assert_problem(client.post("/series", json=body), 422, "invalid-request")
    assert [error["pointer"] for error in refused["errors"]] == ["/models/0/x", "/models/1/x"]


def test_a_law_too_steep_to_be_written_as_factors_has_a_chart(client: httpx2.Client, worker: Worker) -> None:
    specs = [ARCHITECTURE | {"name": f"steep {n}"} for n in range(2)]
    body = {"models": [{"model": {"architecture": spec}, "x": 1e6 + n} for n, spec in enumerate(specs)]}
    series = client.post("/series", json=body).json()
    finish(worker, series, [10.0, 40.0])
    assert client.get(f"/series/{series['id']}/chart.png").content.startswith(b"\x89PNG")


def test_a_series_of_huge_specs_is_refused_before_it_costs_much(client: httpx2.Client) -> None:
    deep = {"type": "repeat", "times": 1, "layers": [{"type": "relu"}]}
    body = a_sweep(
        architecture=ARCHITECTURE | {"layers": [deep]}, parameters=["/layers/0/times"], values=list(range(9001, 9041))
    )
    problem = assert_problem(client.post("/series", json=body), 422, "resource-limit")
    assert "first 3 points" in problem["detail"]


def test_a_small_body_cannot_ask_for_a_large_spec(client: httpx2.Client) -> None:
    layers = [{"type": "repeat", "times": 1, "layers": []} for _ in range(64)]
    places = [f"/layers/{n}/layers" for n in range(64)]
    value = [{"type": "relu"}] * 2000
    body = a_sweep(architecture=ARCHITECTURE | {"layers": layers}, parameters=places, values=[value[:1], value])
    problem = assert_problem(client.post("/series", json=body), 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == "/sweep/values/1"
    assert "written to 64 places" in problem["detail"]


def test_all_points_are_on_disk_by_one_wait(client: httpx2.Client, settings: ServiceSettings) -> None:
    def waits() -> int:
        with redis.Redis.from_url(settings.redis_url) as connection:
            return int(connection.info("commandstats").get("cmdstat_waitaof", {"calls": 0})["calls"])

    body, headers = a_sweep(architecture=ARCHITECTURE | {"name": "settled"}), {"Idempotency-Key": "settled"}
    for _ in range(2):  # what is known may not be on disk either
        before = waits()
        assert client.post("/series", json=body, headers=headers).status_code == 202
        assert waits() == before + 1
