"""A model with files beside it in the child: each under a neutral name, and no other file of the store."""

from typing import Any

import pytest

from erfscope_worker import jail
from erfscope_worker.task import blobs_of, data_roles


@pytest.mark.skipif(bool(jail.missing()), reason="this kernel offers no jail")
def test_the_child_sees_the_parts_and_nothing_else(shop: Any, worker: Any) -> None:
    model, first, second, other = (shop.store.put(text).sha256 for text in (b"model", b"first", b"second", b"other"))
    data = {"net.onnx.data": first, "below/more.bin": second, "again.bin": first}
    note = shop.note(
        shop.submit(
            "read_parts", model="0" * 64, parts={"model": model, "data": data}, other=str(shop.store.path(other))
        )
    )
    assert note["model"] == "model"
    assert note["data"] == {"net.onnx.data": "first", "below/more.bin": "second", "again.bin": "first"}
    assert note["opened"] == []
    assert not any(name in place for place in note["places"] for name in ("net.onnx", "below", "bin"))


def test_a_part_that_is_gone_is_said(shop: Any, worker: Any) -> None:
    model = shop.store.put(b"model").sha256
    id = shop.submit("read_parts", model="0" * 64, parts={"model": model, "data": {"a.bin": "f" * 64}}, other="")
    problem = shop.ended(id).problem
    assert (problem.kind, "data of this job is no longer stored" in problem.detail) == ("not-found", True)


def test_roles_are_neutral_and_the_same_on_both_sides() -> None:
    payload = {"model": "id", "images": "i", "parts": {"model": "m", "data": {"b/../..": "2", "a": "1"}}}
    assert data_roles(payload) == {"a": "data.0", "b/../..": "data.1"}
    assert blobs_of(payload) == {"model": "m", "images": "i", "data.0": "1", "data.1": "2"}
    assert blobs_of({"model": "id", "images": None}) == {"model": "id"}
    assert data_roles({"model": "id"}) == {}
