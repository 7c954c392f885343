"""Each call of the service as data: what is sent, and how the answer is read. No network here."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from erfscope._errors import APIError, from_problem, refuse
from erfscope_contract.hashing import sha256_of
from erfscope_contract.job import (
    Health,
    Job,
    JobPage,
    ListedFiles,
    ListedJob,
    ListedJobs,
    ListedModels,
    StoredFile,
    StoredModel,
)
from erfscope_contract.problem import Problem, kind_of_status
from erfscope_contract.request import ErfRequest
from erfscope_contract.series import Series, SeriesPage, SeriesRequest
from erfscope_contract.usage import Usage

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
CHUNK = 1 << 20


@dataclass(frozen=True)
class Content:
    """Bytes to send: held in memory, or a file that is streamed (and read again on a retry)."""

    source: bytes | Path
    name: str

    @property
    def size(self) -> int:
        """Bytes."""
        return self.source.stat().st_size if isinstance(self.source, Path) else len(self.source)

    @property
    def sha256(self) -> str:
        """Of the bytes."""
        return sha256_of(self.source)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, a megabyte at a time."""
        with self.source.open("rb") if isinstance(self.source, Path) else BytesIO(self.source) as file:
            while chunk := file.read(CHUNK):
                yield chunk


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and the reader of its answer."""

    method: str
    path: str
    read: Callable[[httpx2.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Callable[[], Iterator[bytes]] | None = None
    patience: float = 0.0  # seconds by which the answer may be late on purpose (long polls)


def submit(request: ErfRequest, model: Content | None, key: str, data: Sequence[Content] = ()) -> Call[Job]:
    """POST /erf: JSON, or multipart where the model's bytes travel along, and those of the files beside it."""
    text = request.model_dump_json(exclude_unset=True, by_alias=True).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    if model is None:
        return Call("POST", "/erf", _model(Job), headers=headers, body=text)
    # The boundary follows the key, so that a repeated submit has the same bytes as the first.
    boundary = f"erfscope-{key}"
    request_part = _part(boundary, 'name="request"', "application/json") + text + b"\r\n"
    form = _form(boundary, [request_part, *_file_parts(boundary, model, data)])
    return Call("POST", "/erf", _model(Job), headers=headers | form["headers"], body=form["body"])


def job(id: str, wait: float = 0.0) -> Call[Job]:
    """GET /erf/{id}; the service may hold the answer for `wait` seconds until the job has ended."""
    headers = {"Prefer": f"wait={int(wait)}"} if wait >= 1 else {}
    return Call("GET", _job_path(id), _model(Job), headers=headers, patience=wait)


def jobs(page_size: int, page_token: str | None) -> Call[JobPage]:
    """GET /erf: one page, newest first."""
    params = {"page_size": str(page_size)} | ({"page_token": page_token} if page_token else {})
    return Call("GET", "/erf", _model(JobPage), params=params)


def list_jobs(kind: str | None, status: str | None, page_token: str | None) -> Call[ListedJobs]:
    """GET /jobs: one page of jobs of any kind, newest first."""
    return Call("GET", "/jobs", _model(ListedJobs), params=_page(page_token, kind=kind, status=status))


def any_job(id: str, wait: float = 0.0) -> Call[ListedJob]:
    """GET /jobs/{id}: a job of any kind; the service may hold the answer for `wait` seconds until it has ended."""
    headers = {"Prefer": f"wait={int(wait)}"} if wait >= 1 else {}
    return Call("GET", f"/jobs/{quote(id, safe='')}", _model(ListedJob), headers=headers, patience=wait)


def cancel_any(id: str) -> Call[ListedJob]:
    """DELETE /jobs/{id}."""
    return Call("DELETE", f"/jobs/{quote(id, safe='')}", _model(ListedJob))


def whole(job: ListedJob) -> Call[bytes]:
    """GET of a job where its own kind has it, with request and result; JSON."""
    return Call("GET", job.links.self, lambda response: response.content)


def list_models(page_token: str | None) -> Call[ListedModels]:
    """GET /models: one page, newest first."""
    return Call("GET", "/models", _model(ListedModels), params=_page(page_token))


def list_files(page_token: str | None) -> Call[ListedFiles]:
    """GET /files: one page, newest first."""
    return Call("GET", "/files", _model(ListedFiles), params=_page(page_token))


def list_series(page_token: str | None) -> Call[SeriesPage]:
    """GET /series: one page, newest first."""
    return Call("GET", "/series", _model(SeriesPage), params=_page(page_token))


def _page(page_token: str | None, **filters: str | None) -> dict[str, str]:
    """The query of a page of a hundred."""
    chosen = {"page_token": page_token, **filters}
    return {"page_size": "100"} | {name: value for name, value in chosen.items() if value is not None}


def cancel(id: str) -> Call[Job]:
    """DELETE /erf/{id}."""
    return Call("DELETE", _job_path(id), _model(Job))


def purge(id: str) -> Call[None]:
    """DELETE /erf/{id}?purge=1."""
    return Call("DELETE", _job_path(id), lambda _: None, params={"purge": "1"})


def events(id: str, after: str | None) -> Call[None]:
    """GET /erf/{id}/events, from the event after the one last seen."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    headers |= {"Last-Event-ID": after} if after else {}
    return Call("GET", f"{_job_path(id)}/events", lambda _: None, headers=headers)


def heatmap(id: str, scale: str | None, colormap: str | None, overlay: bool) -> Call[bytes]:
    """GET /erf/{id}/heatmap.png."""
    given = {"scale": scale, "colormap": colormap, "overlay": "true" if overlay else None}
    params = {name: value for name, value in given.items() if value is not None}
    return Call("GET", f"{_job_path(id)}/heatmap.png", lambda response: response.content, params=params)


def map_array(id: str, unit: Sequence[int] | None = None, layer: str | None = None) -> Call[NDArray[np.floating[Any]]]:
    """GET /erf/{id}/map.npy: the input's spatial shape, maximum 1."""
    params = {} if unit is None else {"unit": ",".join(map(str, unit))}
    params |= {} if layer is None else {"layer": layer}
    return Call("GET", f"{_job_path(id)}/map.npy", _array, params=params)


def submit_series(request: SeriesRequest, key: str) -> Call[Series]:
    """POST /series."""
    text = request.model_dump_json(exclude_unset=True, by_alias=True).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    return Call("POST", "/series", _model(Series), headers=headers, body=text)


def series(id: str, wait: float = 0.0) -> Call[Series]:
    """GET /series/{id}; the service may hold the answer for `wait` seconds until every point has ended."""
    headers = {"Prefer": f"wait={int(wait)}"} if wait >= 1 else {}
    return Call("GET", _series_path(id), _model(Series), headers=headers, patience=wait)


def submit_question(path: str, request: BaseModel, job: type[M], key: str) -> Call[M]:
    """POST of a question about a model, such as /advice."""
    text = request.model_dump_json(exclude_unset=True, by_alias=True).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    return Call("POST", path, _model(job), headers=headers, body=text)


def question(path: str, job: type[M], id: str, wait: float = 0.0) -> Call[M]:
    """GET of a question's job; the service may hold the answer for `wait` seconds until it has ended."""
    headers = {"Prefer": f"wait={int(wait)}"} if wait >= 1 else {}
    return Call("GET", f"{path}/{quote(id, safe='')}", _model(job), headers=headers, patience=wait)


def series_chart(id: str, metrics: Sequence[str]) -> Call[bytes]:
    """GET /series/{id}/chart.png."""
    params = {"metric": ",".join(metrics)} if metrics else {}
    return Call("GET", f"{_series_path(id)}/chart.png", lambda response: response.content, params=params)


def cancel_series(id: str) -> Call[Series]:
    """DELETE /series/{id}."""
    return Call("DELETE", _series_path(id), _model(Series))


def purge_series(id: str) -> Call[None]:
    """DELETE /series/{id}?purge=1."""
    return Call("DELETE", _series_path(id), lambda _: None, params={"purge": "1"})


def upload_model(model: Content, data: Sequence[Content] = ()) -> Call[StoredModel]:
    """POST /models: the file as it is, or multipart where files lie beside it."""
    boundary = f"erfscope-{uuid.uuid4().hex}"
    form = _form(boundary, _file_parts(boundary, model, data)) if data else _upload(model)
    return Call("POST", "/models", _model(StoredModel), **form)


def model(sha256: str, wait: float = 0.0) -> Call[StoredModel]:
    """GET /models/{sha256}; the service may hold the answer for `wait` seconds until the inspection has ended."""
    headers = {"Prefer": f"wait={int(wait)}"} if wait >= 1 else {}
    return Call("GET", f"/models/{quote(sha256, safe='')}", _model(StoredModel), headers=headers, patience=wait)


def inspect_model(sha256: str) -> Call[StoredModel]:
    """POST /models/{sha256}: have it inspected, unless it is already."""
    return Call("POST", f"/models/{quote(sha256, safe='')}", _model(StoredModel))


def delete_model(sha256: str) -> Call[None]:
    """DELETE /models/{sha256}."""
    return Call("DELETE", f"/models/{quote(sha256, safe='')}", lambda _: None)


def upload_file(file: Content) -> Call[StoredFile]:
    """POST /files."""
    return Call("POST", "/files", _model(StoredFile), **_upload(file))


def delete_file(sha256: str) -> Call[None]:
    """DELETE /files/{sha256}."""
    return Call("DELETE", f"/files/{quote(sha256, safe='')}", lambda _: None)


def usage() -> Call[Usage]:
    """GET /usage."""
    return Call("GET", "/usage", _model(Usage))


def health() -> Call[Health]:
    """GET /health/ready."""
    return Call("GET", "/health/ready", _model(Health))


def conclude(call: Call[T], response: httpx2.Response) -> T:
    """The answer as a value, or the service's problem as an exception."""
    if response.is_success:
        return call.read(response)
    raise error_of(response)


def error_of(response: httpx2.Response) -> APIError:
    """The problem of an answer; one that did not come from erfscope (a proxy's page) is put into words."""
    try:
        return from_problem(Problem.model_validate_json(response.content))
    except ValidationError:
        return _stranger(response)


def _stranger(response: httpx2.Response) -> APIError:
    kind = kind_of_status(response.status_code)
    where = f"{response.request.method} {response.request.url}"
    key = response.request.headers.get("authorization", "").removeprefix("Bearer ")
    body = response.text.replace(key, "…") if key else response.text  # some servers echo what they got
    return refuse(
        kind,
        f"{where} was answered {response.status_code} {response.reason_phrase} without erfscope's problem "
        f"details; is there an erfscope service (or only a proxy) at this address? The body begins: "
        f"{body[:200]!r}",
    )


def _model(kind: type[M]) -> Callable[[httpx2.Response], M]:
    def read(response: httpx2.Response) -> M:
        try:
            return kind.model_validate_json(response.content)
        except ValidationError:
            raise _stranger(response) from None

    return read


def _array(response: httpx2.Response) -> NDArray[np.floating[Any]]:
    array: NDArray[np.floating[Any]] = np.load(BytesIO(response.content), allow_pickle=False)
    return array


def _upload(content: Content) -> dict[str, Any]:
    name = _token(content.name).encode("ascii", "replace").decode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(content.size),
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return {"headers": headers, "body": content.chunks}


def _file_parts(boundary: str, model: Content, data: Sequence[Content]) -> Iterator[bytes | Content]:
    """A model and the files beside it as parts of a form."""
    for field_name, content in (("model", model), *(("data", one) for one in data)):
        named = f'name="{field_name}"; filename="{_token(content.name)}"'
        yield from (_part(boundary, named, "application/octet-stream"), content, b"\r\n")


def _form(boundary: str, parts: Iterable[bytes | Content]) -> dict[str, Any]:
    """Headers and body of a form, streamed; `parts` are what stands between the boundary's last line and the begin."""
    pieces = [*parts, f"--{boundary}--\r\n".encode()]
    size = sum(piece.size if isinstance(piece, Content) else len(piece) for piece in pieces)

    def body() -> Iterator[bytes]:
        for piece in pieces:
            yield from piece.chunks() if isinstance(piece, Content) else [piece]

    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(size)}
    return {"headers": headers, "body": body}


def _part(boundary: str, disposition: str, media_type: str) -> bytes:
    lines = (f"--{boundary}", f"Content-Disposition: form-data; {disposition}", f"Content-Type: {media_type}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _token(name: str) -> str:
    """A file name that cannot leave its quotes or its header line."""
    return "".join(c if c.isprintable() and c not in '"\\' else "_" for c in name)


def _series_path(id: str) -> str:
    return f"/series/{quote(id, safe='')}"


def _job_path(id: str) -> str:
    return f"/erf/{quote(id, safe='')}"
