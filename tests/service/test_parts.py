"""Maps of single units and layers: slices of stored stacks, pictures of them, and 404s that name what there is."""

import io
import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from tests.service.conftest import SIDE, Worker, a_map, a_result, assert_problem, submit

from erfscope_picture import render

UNITS = [[8, 8], [8, 24], [24, 8]]
LAYERS = ["first", "/block/second conv é", "last"]


def a_stack(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """As many maps, each another one, maximum 1."""
    stack = np.stack([np.roll(a_map(), 3 * (k + 1), axis=1) for k in range(count)])
    return np.asarray(stack, dtype=np.float32)


def a_result_of_parts(units: bool = True, layers: bool = True) -> dict[str, Any]:
    """`a_result` with a grid and a profile; the arguments say which of their maps are kept."""
    result: dict[str, Any] = json.loads(a_result())
    shared = {name: result[name] for name in ("trf", "erf", "mass", "samples")}
    result["units"] = [shared | {"unit": unit, "scale_log2": -1.0} for unit in UNITS]
    row = {"operator": "conv", "shape": [4, SIDE, SIDE], "trf_size": [3, 3], "trf_stride": [1, 1]}
    result["layers"] = [shared | row | {"name": name, "unit": [5, 5], "scale_log2": 0.0} for name in LAYERS]
    result["maps"] = {"units": units, "layers": layers}
    return result


def store(worker: Worker, array: np.ndarray[Any, Any]) -> str:
    written = io.BytesIO()
    np.save(written, array)
    return worker.blobs.put(written.getvalue()).sha256


@pytest.fixture
def done(client: httpx2.Client, worker: Worker, request: pytest.FixtureRequest) -> str:
    """The path of a job with maps of units and layers."""
    id = submit(client, request.node.name[:100])["id"]
    stacks = {"units": a_stack(len(UNITS)), "layers": a_stack(len(LAYERS) + 1)[1:], "map": a_map()}
    arrays = {name: store(worker, array) for name, array in stacks.items()}
    worker.succeed(worker.claim(id), json.dumps(a_result_of_parts()).encode(), b"", arrays)
    return f"/erf/{id}"


def load(response: httpx2.Response) -> np.ndarray[Any, Any]:
    assert response.status_code == 200, response.text
    assert int(response.headers["content-length"]) == len(response.content)
    array: np.ndarray[Any, Any] = np.load(io.BytesIO(response.content), allow_pickle=False)
    return array


@pytest.mark.parametrize("index", range(len(UNITS)))
def test_the_map_of_a_unit_is_its_row(client: httpx2.Client, done: str, index: int) -> None:
    unit = ",".join(map(str, UNITS[index]))
    array = load(client.get(f"{done}/map.npy", params={"unit": unit}))
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, a_stack(len(UNITS))[index])


@pytest.mark.parametrize("index", range(len(LAYERS)))
def test_the_map_of_a_layer_is_its_row(client: httpx2.Client, done: str, index: int) -> None:
    array = load(client.get(f"{done}/map.npy", params={"layer": LAYERS[index]}))
    np.testing.assert_array_equal(array, a_stack(len(LAYERS) + 1)[1 + index])


def test_the_main_unit_and_the_target_layer_are_the_main_map(client: httpx2.Client, done: str) -> None:
    for params in ({"unit": f"{SIDE // 2},{SIDE // 2}"}, {"layer": "conv"}, {}):
        np.testing.assert_array_equal(load(client.get(f"{done}/map.npy", params=params)), a_map())


def test_a_picture_of_a_part_shows_the_parts_map_and_words(client: httpx2.Client, done: str) -> None:
    name = client.get(done).json()["model"]["name"]
    shown = a_result_of_parts()
    expected = render(a_stack(len(UNITS))[1], shown | {"unit": UNITS[1]}, title=name)
    assert client.get(f"{done}/heatmap.png", params={"unit": "8,24"}).content == expected
    words = shown | {"layer": shown["layer"] | {"name": LAYERS[1]}, "unit": [5, 5]}
    expected = render(a_stack(len(LAYERS) + 1)[2], words, title=name, scale="log")
    response = client.get(f"{done}/heatmap.png", params={"layer": LAYERS[1], "scale": "log"})
    assert response.content == expected
    Image.open(io.BytesIO(response.content), formats=["PNG"]).verify()


def test_parts_have_tags_of_their_own(client: httpx2.Client, done: str) -> None:
    asked: list[dict[str, str]] = [{}, *({"unit": ",".join(map(str, unit))} for unit in UNITS), {"layer": LAYERS[0]}]
    for path in ("map.npy", "heatmap.png"):
        tags = [client.get(f"{done}/{path}", params=params).headers["etag"] for params in asked]
        assert len(set(tags)) == len(asked)
        for params, tag in zip(asked, tags, strict=True):
            again = client.get(f"{done}/{path}", params=params, headers={"If-None-Match": tag})
            assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["map.npy", "heatmap.png"])
def test_what_was_not_measured_is_a_404_that_names_what_was(client: httpx2.Client, done: str, path: str) -> None:
    problem = assert_problem(client.get(f"{done}/{path}", params={"unit": "3,4"}), 404, "not-found")
    assert problem["context"]["available"] == ["16,16", "8,8", "8,24", "24,8"]
    assert "8,24" in problem["detail"]
    problem = assert_problem(client.get(f"{done}/{path}", params={"layer": "nowhere"}), 404, "not-found")
    assert problem["context"]["available"] == ["conv", *LAYERS]


@pytest.mark.parametrize("unit", ["x", "1,2,3,4,5,6,7,8,9", "-1", "", "1,", "٣", "1\n"])
def test_a_unit_that_is_none_is_refused(client: httpx2.Client, done: str, unit: str) -> None:
    problem = assert_problem(client.get(f"{done}/map.npy", params={"unit": unit}), 422, "invalid-request")
    assert problem["errors"][0]["pointer"] == "/query/unit"


def test_an_element_is_had_by_its_full_index(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "element")["id"]
    result = json.loads(a_result()) | {"unit": [3, 7, 7, 1]}
    worker.succeed(worker.claim(id), json.dumps(result).encode(), b"", {"map": store(worker, a_map())})
    np.testing.assert_array_equal(load(client.get(f"/erf/{id}/map.npy", params={"unit": "3,7,7,1"})), a_map())
    problem = assert_problem(client.get(f"/erf/{id}/map.npy", params={"unit": "3,7,7"}), 404, "not-found")
    assert problem["context"]["available"] == ["3,7,7,1"]


def test_unit_and_layer_exclude_each_other(client: httpx2.Client, done: str) -> None:
    both = {"unit": "8,8", "layer": LAYERS[0]}
    assert_problem(client.get(f"{done}/map.npy", params=both), 422, "invalid-request")


def test_maps_that_were_not_kept_are_a_404_that_says_so(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "not kept")["id"]
    result = json.dumps(a_result_of_parts(units=False, layers=False)).encode()
    worker.succeed(worker.claim(id), result, b"", {"map": store(worker, a_map())})
    for params in ({"unit": "8,8"}, {"layer": LAYERS[0]}):
        problem = assert_problem(client.get(f"/erf/{id}/map.npy", params=params), 404, "not-found")
        assert "too large together" in problem["detail"]


def test_a_picture_is_drawn_where_the_stored_one_is_another(client: httpx2.Client, worker: Worker) -> None:
    id = submit(client, "own picture")["id"]
    arrays = {"units": store(worker, a_stack(len(UNITS))), "map": store(worker, a_map())}
    worker.succeed(worker.claim(id), json.dumps(a_result_of_parts()).encode(), b"the stored one", arrays)
    assert client.get(f"/erf/{id}/heatmap.png").content == b"the stored one"
    assert client.get(f"/erf/{id}/heatmap.png", params={"unit": "8,8"}).content.startswith(b"\x89PNG")


def test_a_row_is_read_without_the_rest_of_its_stack(tmp_path: Path) -> None:
    """A sparse file of 64 GB: whoever reads all of it does not come back."""
    from erfscope_service.erf.figures import _bytes_of

    path = tmp_path / "stack.npy"
    shape = (4096, 2048, 2048)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 4 * shape[0] * shape[1] * shape[2])
    head, data = _bytes_of(path, 4000)
    assert data.size == 4 * shape[1] * shape[2]
    assert b"(2048, 2048)" in head
