"""heatmap.png and map.npy: stored ones, other looks, strong ETags, and jobs without a result."""

import io
from collections.abc import Callable

import httpx2
import numpy as np
import pytest
import redis
from PIL import Image
from tests.service.conftest import SIDE, Worker, a_map, assert_problem, submit

from erfscope_service.settings import ServiceSettings


@pytest.fixture
def done(client: httpx2.Client, worker: Worker, request: pytest.FixtureRequest) -> str:
    """The path of a job that has succeeded."""
    id = submit(client, request.node.name[:100])["id"]
    worker.measure(worker.claim(id))
    return f"/erf/{id}"


def test_the_default_picture_is_the_stored_one(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "stored picture")["id"]
    answer = worker.measure(worker.claim(id))
    response = client.get(f"/erf/{id}/heatmap.png")
    assert response.headers["content-type"] == "image/png"
    assert response.content == answer.figure


def test_other_looks_are_drawn_on_demand(client: httpx2.Client, done: str) -> None:
    looks = [{}, {"scale": "log"}, {"scale": "linear"}, {"colormap": "magma"}]
    pictures = [client.get(f"{done}/heatmap.png", params=look) for look in looks]
    for picture in pictures:
        assert picture.status_code == 200
        Image.open(io.BytesIO(picture.content), formats=["PNG"]).verify()
    assert len({picture.content for picture in pictures}) == len(looks)
    assert len({picture.headers["etag"] for picture in pictures}) == len(looks)


@pytest.mark.parametrize(
    "params", [{"scale": "cubic"}, {"colormap": "jet"}, {"overlay": "maybe"}, {"unit": "x"}, {"layers": "x"}]
)
def test_an_unknown_look_is_refused(client: httpx2.Client, done: str, params: dict[str, str]) -> None:
    problem = assert_problem(client.get(f"{done}/heatmap.png", params=params), 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == f"/query/{next(iter(params))}"


def test_an_overlay_needs_an_image(client: httpx2.Client, done: str) -> None:
    problem = assert_problem(client.get(f"{done}/heatmap.png", params={"overlay": "1"}), 404, "not-found")
    assert "the samples were not two-dimensional images" in problem["detail"]


def test_the_map_is_drawn_over_the_image(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "over an image")["id"]
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 1] = 200
    worker.measure(worker.claim(id), image)
    plain, over = (client.get(f"/erf/{id}/heatmap.png", params={"overlay": on}) for on in ("0", "1"))
    green = [_green(answer.content) for answer in (plain, over)]
    assert green[1] > 5 * green[0]


def _green(png: bytes) -> int:
    """How many pixels are as green as the image below a weak map."""
    with Image.open(io.BytesIO(png)) as picture:
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(int), -1, 0)
    return int((green - np.maximum(red, blue) > 80).sum())


def test_the_map_is_the_stored_array(client: httpx2.Client, done: str) -> None:
    response = client.get(f"{done}/map.npy")
    assert int(response.headers["content-length"]) == len(response.content)
    array = np.load(io.BytesIO(response.content), allow_pickle=False)
    assert (array.dtype, array.shape) == (np.float32, (SIDE, SIDE))
    np.testing.assert_array_equal(array, a_map())


@pytest.mark.parametrize("part", ["", "/heatmap.png", "/heatmap.png?scale=log", "/map.npy"])
def test_what_never_changes_is_kept_by_clients(client: httpx2.Client, done: str, part: str) -> None:
    first = client.get(done + part)
    tag = first.headers["etag"]
    assert tag.startswith('"'), "a strong tag"
    assert "immutable" in first.headers["cache-control"]
    assert "private" in first.headers["cache-control"]
    for held in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = client.get(done + part, headers={"If-None-Match": held})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert client.get(done + part, headers={"If-None-Match": '"other"'}).content == first.content


def test_a_304_reads_neither_request_nor_result(
    client: httpx2.Client, done: str, redis_url: str, settings: ServiceSettings
) -> None:
    """Both are broken here: who has no tag is told so, who has one needs them not."""
    parts = ["", "/heatmap.png", "/heatmap.png?scale=log", "/map.npy", "/report.html", "/report.md", "/metrics.csv"]
    tags = {part: client.get(done + part).headers["etag"] for part in parts}
    job = f"{settings.namespace}:job:{done.rpartition('/')[2]}"
    with redis.Redis.from_url(redis_url) as store:
        answer = store.hget(job, "answer")
        assert answer is not None
        store.hset(job, "payload", b"broken")
        store.hset(f"{settings.namespace}:answer:{answer.decode()}", "result", b"broken")
        for part, tag in tags.items():
            again = client.get(done + part, headers={"If-None-Match": tag})
            assert (again.status_code, again.headers["etag"]) == (304, tag)
        assert store.delete(job)  # nobody can look at it any more


def test_a_job_at_work_is_not_kept_by_clients(client: httpx2.Client) -> None:
    response = client.get(f"/erf/{submit(client, 'at work')['id']}")
    assert response.headers["cache-control"] == "no-store"
    assert "etag" not in response.headers


Ending = Callable[[httpx2.Client, Worker, str], object]
ENDINGS: dict[str, Ending] = {
    "queued": lambda client, worker, id: None,
    "running": lambda client, worker, id: worker.beat(worker.claim(id), "load", 0.0),
    "failed": lambda client, worker, id: worker.fail(worker.claim(id), "no-gradient", "None."),
    "canceled": lambda client, worker, id: client.delete(f"/erf/{id}"),
}


@pytest.mark.parametrize("state", ENDINGS)
@pytest.mark.parametrize("part", ["heatmap.png", "map.npy"])
def test_a_job_without_a_result_has_no_parts(client: httpx2.Client, worker: Worker, state: str, part: str) -> None:
    id = submit(client, f"no parts {state}")["id"]
    ENDINGS[state](client, worker, id)
    problem = assert_problem(client.get(f"/erf/{id}/{part}"), 409, "conflict")
    assert state in problem["detail"]
