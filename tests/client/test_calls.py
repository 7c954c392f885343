"""The bytes of each call, and how answers are read."""

from email.parser import BytesParser
from pathlib import Path

import httpx2
import numpy as np
import pytest

from erfscope import _calls, errors
from erfscope._calls import Call, Content
from erfscope_contract.request import ErfRequest

from .conftest import MAP, npy, problem_json


def sent(call: Call[object]) -> bytes:
    assert call.body is not None
    return b"".join(call.body()) if callable(call.body) else call.body


def parts(call: Call[object]) -> dict[str, tuple[str | None, bytes]]:
    head = f"Content-Type: {call.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + sent(call))
    return {
        str(part.get_param("name", header="content-disposition")): (part.get_filename(), part.get_payload(decode=True))
        for part in message.get_payload()
    }


def answer(status: int, content: bytes = b"", **headers: str) -> httpx2.Response:
    return httpx2.Response(status, content=content, headers=headers, request=httpx2.Request("GET", "http://x/erf"))


def test_a_submit_with_bytes_is_a_form() -> None:
    data = bytes(range(256)) * 10
    call = _calls.submit(ErfRequest(dtype="float64"), Content(data, "net.onnx"), "key-1")
    assert parts(call) == {"request": (None, b'{"dtype":"float64"}'), "model": ("net.onnx", data)}
    assert int(call.headers["Content-Length"]) == len(sent(call))
    assert call.headers["Idempotency-Key"] == "key-1"


def test_a_repeated_submit_has_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"x" * (_calls.CHUNK + 1))
    call = _calls.submit(ErfRequest(), Content(path, path.name), "k")
    assert sent(call) == sent(call)
    assert int(call.headers["Content-Length"]) == len(sent(call))


def test_a_submit_by_reference_is_json() -> None:
    request = ErfRequest.model_validate({"model": {"sha256": "0" * 64}})
    call = _calls.submit(request, None, "k")
    assert sent(call) == b'{"model":{"sha256":"%s"}}' % (b"0" * 64)
    assert call.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", ['a"b.onnx', "a\r\nX-Evil: 1.onnx", "größe.onnx", "\udcff.onnx", "\\.onnx"])
def test_a_file_name_stays_in_its_quotes(name: str) -> None:
    form = _calls.submit(ErfRequest(), Content(b"data", name), "k")
    assert parts(form)["model"][1] == b"data"
    assert sent(form).count(b"X-Evil") <= 1
    assert b"\r\nX-Evil" not in sent(form)
    raw = _calls.upload_model(Content(b"data", name))
    assert raw.headers["Content-Disposition"].isascii()
    assert httpx2.Request("POST", "http://x/models", headers=dict(raw.headers))


def test_ids_cannot_leave_their_path() -> None:
    assert _calls.job("../health").path == "/erf/..%2Fhealth"
    assert _calls.model("a/b?c").path == "/models/a%2Fb%3Fc"


def test_waiting_is_asked_for_and_allowed_for() -> None:
    assert _calls.job("j").headers == {}
    call = _calls.job("j", wait=12.7)
    assert (call.headers["Prefer"], call.patience) == ("wait=12", 12.7)


def test_a_map_is_read_without_pickle() -> None:
    call = _calls.map_array("j")
    assert np.array_equal(_calls.conclude(call, answer(200, npy(MAP))), MAP)
    with pytest.raises(ValueError, match="allow_pickle"):
        _calls.conclude(call, answer(200, npy(np.array([{}], dtype=object))))


def test_a_problem_is_raised_as_its_class() -> None:
    import json

    body = json.dumps(problem_json("invalid-target", "no layer 'x'")).encode()
    with pytest.raises(errors.APIError) as caught:
        _calls.conclude(_calls.health(), answer(422, body))
    assert type(caught.value) is errors.InvalidTarget


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, "NotFound"), (413, "TooLarge"), (502, "Unavailable"), (500, "Internal"), (503, "Unavailable")],
)
def test_a_strangers_answer_is_put_into_words(status: int, expected: str) -> None:
    error = _calls.error_of(answer(status, b"<html>nginx</html>"))
    assert type(error).__name__ == expected
    assert "is there an erfscope service" in str(error)
    assert "nginx" in str(error)


def test_success_in_a_strange_form_is_an_error() -> None:
    with pytest.raises(errors.APIError, match="hello"):
        _calls.conclude(_calls.health(), answer(200, b"hello"))
