"""The edge: byte limits, strict JSON, broken forms, hosts, headers; every refusal is a problem."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.service.conftest import a_spec, assert_problem, eventually, running_service, send_form, submit

from erfscope_service.edge import strict_json
from erfscope_service.settings import ServiceSettings

JSON = {"Content-Type": "application/json"}


def temporary_files(settings: ServiceSettings) -> list[Path]:
    return [path for path in (settings.blobs / "tmp").iterdir() if path.is_file()]


def chunked(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 2**16):
        yield body[start : start + 2**16]


LIMITED = [
    ("/erf", "application/json", "max_json_bytes"),
    ("/models", "application/octet-stream", "max_model_bytes"),
    ("/files", "application/octet-stream", "max_file_bytes"),
]


@pytest.mark.parametrize(("path", "media_type", "limit"), LIMITED)
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused(
    *,
    client: httpx2.Client,
    settings: ServiceSettings,
    path: str,
    media_type: str,
    limit: str,
    declared: bool,
) -> None:
    body = b"\x89PNG\r\n\x1a\n" + b"x" * (getattr(settings, limit) + 2**16)
    content = body if declared else chunked(body)
    response = client.post(path, content=content, headers={"Content-Type": media_type})
    problem = assert_problem(response, 413, "too-large")
    assert problem["context"]["limit"] == getattr(settings, limit)
    assert temporary_files(settings) == []


@pytest.mark.parametrize("declared", [True, False])
def test_a_form_part_over_the_limit_is_refused(
    client: httpx2.Client, settings: ServiceSettings, declared: bool
) -> None:
    for part, limit in (("model", settings.max_model_bytes), ("request", settings.max_json_bytes)):
        head = f'--b\r\nContent-Disposition: form-data; name="{part}"\r\n\r\n'.encode()
        body = head + b"x" * (limit + 1) + b"\r\n--b--\r\n"
        content = body if declared else chunked(body)
        response = client.post("/erf", content=content, headers={"Content-Type": "multipart/form-data; boundary=b"})
        assert_problem(response, 413, "too-large")
        assert temporary_files(settings) == []


def test_a_declared_length_over_the_limit_is_refused_before_the_body(base_url: str) -> None:
    """The body is never sent, so only the header can have been looked at."""
    host = urlsplit(base_url)
    with socket.create_connection((host.hostname or "", host.port or 0)) as connection:
        connection.settimeout(30)
        connection.sendall(
            b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n"
            b"Content-Type: application/octet-stream\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_exactly_the_limit_is_taken(client: httpx2.Client, settings: ServiceSettings) -> None:
    response = client.post("/models", content=os.urandom(settings.max_model_bytes))
    assert response.status_code == 202


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "", "application/x-www-form-urlencoded"])
def test_another_media_type_is_415(client: httpx2.Client, media_type: str) -> None:
    response = client.post("/erf", content=b"x", headers={"Content-Type": media_type})
    assert_problem(response, 415, "unsupported-media-type")
    if media_type:
        for path in ("/models", "/files"):
            response = client.post(path, content=b"x", headers={"Content-Type": media_type})
            assert_problem(response, 415, "unsupported-media-type")


UNREADABLE = {
    "NaN": b'{"average": {"inputs": NaN}}',
    "Infinity": b'{"average": {"inputs": -Infinity}}',
    "duplicate key": b'{"dtype": "float32", "dtype": "float64"}',
    "duplicate key deeper": b'{"input": {"name": "a", "name": "b"}}',
    "100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "depth hidden behind strings": b'{"a": "]]]]", "b": ' + b'["x", ' * 200 + b"1" + b"]" * 200 + b"}",
    "5,000 digits": b'{"average": {"seed": ' + b"9" * 5000 + b"}}",
    "1e999": b'{"input": {"mean": [1e999]}}',
    "not UTF-8": b'{"dtype": "\xff"}',
    "UTF-16": '{"dtype": "float32"}'.encode("utf-16"),
    "half a surrogate": b'{"target": {"layer": "\\ud800"}}',
    "half a surrogate as a key": b'{"\\uD800": 1}',
    "trailing comma": b'{"dtype": "float32",}',
    "two values": b"{} {}",
    "empty": b"",
    "unterminated string": b'{"a": "' + b'\\"' * 50_000,
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_json_is_400(client: httpx2.Client, case: str) -> None:
    assert_problem(client.post("/erf", content=UNREADABLE[case], headers=JSON), 400, "bad-request")
    assert_problem(send_form(client, b"m", UNREADABLE[case]), 400, "bad-request")


def test_strict_json_takes_what_is_json() -> None:
    value = {"a": [1, -2.5, 1e3, True, None, "é\u2028\U0001f600"], "b": {"c": {"d": []}}, "": 2**63 - 1}
    assert strict_json.parse(json.dumps(value).encode()) == value
    assert strict_json.parse(json.dumps(value, ensure_ascii=False).encode()) == value
    assert strict_json.parse(b'"[[[ \\" ]"') == '[[[ " ]'
    assert strict_json.parse(b"[" * 100 + b"]" * 100)


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"1"])
def test_json_that_is_no_object_is_422(client: httpx2.Client, body: bytes) -> None:
    assert_problem(client.post("/erf", content=body, headers=JSON), 422, "invalid-request")


def part(name: str, data: bytes = b"{}") -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + data + b"\r\n"


BROKEN_FORMS = {
    "1,001 parts": (b"b", part("model", b"m") + part("request") * 1000 + b"--b--\r\n"),
    "giant part header": (b"b", b"--b\r\nX: " + b"x" * 100_000 + b"\r\n\r\n\r\n--b--\r\n"),
    "many part headers": (b"b", b"--b\r\n" + b"X: y\r\n" * 100 + b"\r\n\r\n--b--\r\n"),
    "other boundary": (b"c", part("model", b"m") + b"--b--\r\n"),
    "giant boundary": (b"b" * 1000, b""),
    "cut short": (b"b", part("model", b"m")),
    "no name": (b"b", b"--b\r\nContent-Disposition: form-data\r\n\r\nm\r\n--b--\r\n"),
    "unknown part": (b"b", part("file", b"m") + b"--b--\r\n"),
    "twice the model": (b"b", part("model", b"m") * 2 + b"--b--\r\n"),
    "no parts": (b"b", b"--b--\r\n"),
}


@pytest.mark.parametrize("case", BROKEN_FORMS)
def test_a_broken_form_is_400_and_leaves_nothing(client: httpx2.Client, settings: ServiceSettings, case: str) -> None:
    boundary, body = BROKEN_FORMS[case]
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
    response = client.post("/erf", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert_problem(response, response.status_code, "bad-request" if response.status_code == 400 else "invalid-request")
    assert temporary_files(settings) == []


def test_a_form_without_a_boundary_is_400(client: httpx2.Client) -> None:
    response = client.post("/erf", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert_problem(response, 400, "bad-request")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::2]", "127.0.0.1.nip.io:80"])
def test_a_foreign_host_is_400(client: httpx2.Client, host: str) -> None:
    assert_problem(client.get("/health/live", headers={"Host": host}), 400, "bad-request")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:80"])
def test_own_names_are_served(client: httpx2.Client, host: str) -> None:
    assert client.get("/health/live", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/erf/", 404, "not-found"),
        ("GET", "/redoc", 404, "not-found"),
        ("GET", "/page/..%2Fendpoints.py", 404, "not-found"),
        ("PUT", "/erf", 405, "method-not-allowed"),
        ("PATCH", "/erf/x", 405, "method-not-allowed"),
        ("PUT", "/models", 405, "method-not-allowed"),
    ],
)
def test_routing_errors_are_problems(client: httpx2.Client, method: str, path: str, status: int, kind: str) -> None:
    response = client.request(method, path)
    assert_problem(response, status, kind)
    if status == 405:
        assert response.headers["allow"]


@pytest.mark.parametrize("path", ["/health/live", "/nowhere", "/", "/openapi.json"])
def test_every_response_is_dressed(client: httpx2.Client, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"]
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_a_request_id_is_taken_over_only_when_harmless(client: httpx2.Client) -> None:
    assert client.get("/health/live", headers={"X-Request-ID": "trace-1.a"}).headers["x-request-id"] == "trace-1.a"
    for odd in ("a b", "x" * 65, "<b>"):
        assert client.get("/health/live", headers={"X-Request-ID": odd}).headers["x-request-id"] != odd


@pytest.mark.parametrize("size", [40_000, 200_000])
def test_a_giant_header_is_refused_by_the_server(base_url: str, size: int) -> None:
    """Sent in pieces, so that the answer is read before a closed connection can swallow it."""
    host = urlsplit(base_url)
    header = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"x" * size
    with socket.create_connection((host.hostname or "", host.port or 0)) as connection:
        connection.settimeout(0.1)
        answer, sent = b"", 0
        while not answer:
            piece, sent = header[sent : sent + 4096], sent + 4096
            connection.sendall(piece)
            with suppress(TimeoutError):
                answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert sent < size, "it is not waited for the rest"


@pytest.mark.parametrize(
    "line", [b"\x00\x01\x02", b"GET / HTTP/1.1\r\nContent-Length: many", b"GET / HTTP/1.1\r\nA B: c"]
)
def test_what_is_no_http_is_a_problem_too(base_url: str, line: bytes) -> None:
    host = urlsplit(base_url)
    with socket.create_connection((host.hostname or "", host.port or 0)) as connection:
        connection.settimeout(30)
        connection.sendall(line + b"\r\n\r\n")
        head, _, body = b"".join(iter(lambda: connection.recv(4096), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["type"] == "/problems/bad-request"


@pytest.mark.parametrize(("there", "status"), [("localhost", b"200"), ("elsewhere.example", b"400")])
def test_a_target_in_absolute_form_is_its_path_at_that_host(base_url: str, there: str, status: bytes) -> None:
    host = urlsplit(base_url)
    with socket.create_connection((host.hostname or "", host.port or 0)) as connection:
        connection.settimeout(30)
        line = f"GET http://{there}/health/live?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(line.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_goes_away_leaves_nothing(
    base_url: str, client: httpx2.Client, settings: ServiceSettings
) -> None:
    host = urlsplit(base_url)
    with socket.create_connection((host.hostname or "", host.port or 0)) as connection:
        connection.sendall(b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        eventually(lambda: temporary_files(settings))
    eventually(lambda: not temporary_files(settings))
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize(("site", "status"), [("cross-site", 400), ("same-site", 400), ("same-origin", 202)])
def test_other_sites_may_not_write(client: httpx2.Client, site: str, status: int) -> None:
    response = client.post("/erf", json=a_spec(), headers={"Sec-Fetch-Site": site})
    assert response.status_code == status
    assert client.get("/health/live", headers={"Sec-Fetch-Site": site}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"), [("http://evil.example", 400), ("null", 400), ("http://[", 400), (None, 202)]
)
def test_pages_of_other_origins_may_not_write(client: httpx2.Client, origin: str | None, status: int) -> None:
    own = f"http://{client.base_url.netloc.decode()}"
    response = client.post("/erf", json=a_spec(), headers={"Origin": origin or own})
    assert response.status_code == status


@pytest.mark.parametrize(
    ("host", "allowed", "expected"),
    [
        ("127.0.0.1", "", ["localhost", "127.0.0.1", "[::1]", "127.0.0.1"]),
        ("::1", "", ["localhost", "127.0.0.1", "[::1]", "::1"]),
        ("0.0.0.0", "", ["*"]),
        (
            "127.0.0.1",
            "erf.example, *.lab.example",
            ["erf.example", "*.lab.example", "localhost", "127.0.0.1", "[::1]"],
        ),
    ],
)
def test_names_follow_the_address_unless_given(host: str, allowed: str, expected: list[str]) -> None:
    assert ServiceSettings(host=host, allowed_hosts=allowed).hosts == expected


@pytest.fixture(scope="module")
def impatient(settings: ServiceSettings) -> Iterator[tuple[str, int]]:
    """Host and port of a service that waits half a second."""
    with running_service(settings.model_copy(update={"patience_seconds": 0.5})) as url:
        yield urlsplit(url).hostname or "", urlsplit(url).port or 0


def drip(connection: socket.socket, data: bytes) -> bytes:
    """Send a byte at a time until the other side answers or closes; what it said."""
    connection.settimeout(0.1)
    for byte in data:
        try:
            connection.sendall(bytes([byte]))
            return connection.recv(4096)
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return b""
    raise AssertionError("the server waited for all of it")


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_a_slow_header_ends_the_connection(impatient: tuple[str, int], begun: bytes) -> None:
    with socket.create_connection(impatient) as connection:
        connection.sendall(begun)
        assert drip(connection, b"G" * 200) == b""


def test_a_slow_second_header_ends_the_connection(impatient: tuple[str, int]) -> None:
    with socket.create_connection(impatient) as connection:
        connection.settimeout(30)
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(4096)
        assert drip(connection, b"GET / HTTP/1.1\r\nX: " + b"x" * 200) == b""


def test_a_slow_body_is_408(impatient: tuple[str, int], settings: ServiceSettings) -> None:
    with socket.create_connection(impatient) as connection:
        connection.sendall(b"POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        answer = drip(connection, b"x" * 200)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    assert temporary_files(settings) == []


def test_a_request_that_is_whole_may_take_its_time(impatient: tuple[str, int]) -> None:
    with httpx2.Client(base_url=f"http://{impatient[0]}:{impatient[1]}", timeout=30) as client:
        id = submit(client, "unhurried")["id"]
        assert client.get(f"/erf/{id}", headers={"Prefer": "wait=1"}).json()["status"] == "queued"
