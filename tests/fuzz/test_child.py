"""What a child writes, broken: the worker takes an answer or refuses it, and never stumbles."""

import contextlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.mutations import broken_bytes, broken_json
from tests.fuzz.targets import bounded, effort

from erfscope_contract.problem import ProblemError
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.records import Kind
from erfscope_jobs.settings import Settings
from erfscope_worker import child, verdicts
from erfscope_worker.frames import LENGTHS, FrameError, Reader
from erfscope_worker.harvest import Harvest
from erfscope_worker.runner import run
from erfscope_worker.task import Task

CONV = {"type": "conv", "name": "one", "out_channels": 2, "kernel_size": 3, "padding": "same"}
SPEC = {"name": "small", "input": {"channels": 2, "size": [5, 6]}, "layers": [CONV]}
DONE = {"type": "done", "parts": [], "whole": False}
PROBLEM = ProblemError("timeout", "It ran too long.", seconds=3).problem.model_dump(mode="json")
OTHERS: list[Any] = [  # messages as [header, body in Latin-1]
    [[{"type": "progress", "stage": "measure", "share": 0.5}, ""], [DONE, ""]],
    [[{"type": "problem", "problem": PROBLEM}, ""]],
    [[{"type": "error", "text": "Traceback"}, ""]],
    [[{"type": "done", "parts": [[0, 4], [4, 8]], "whole": True}, ""]],
    [[{"type": "part", "name": "array:map"}, "\x93NUMPY"], [{"type": "part", "name": "result"}, "{}"], [DONE, ""]],
]


@cache
def honest() -> list[Any]:
    """A measured answer as a child sends it."""
    payload = {"request": {"model": {"architecture": SPEC}}, "model": None, "images": None, "name": "small"}
    payload["request"] |= {"average": {"inputs": 1}}  # type: ignore[operator]  # a dict, by the line above
    outputs = run(Task(Kind.ERF, payload, dict[str, Path](), "cpu", lambda stage, share: None))
    return [[header, bytes(body).decode("latin-1")] for header, body in child.parts(outputs)] + [[DONE, ""]]


def stream(messages: Any) -> bytes:
    """The messages on the wire; what is none is left out."""
    sent = b""
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, list) and len(message) == 2 and isinstance(message[0], dict):
            header = json.dumps(message[0]).encode()
            body = str(message[1]).encode("latin-1", "replace")
            sent += LENGTHS.pack(len(header), len(body)) + header + body
    return sent


def take(data: bytes, folder: Path) -> bool:
    """Take it in as the worker does; whether it was an answer. What a liar is answered with is named here."""
    with bounded(), Harvest(Settings(), BlobStore(folder)) as harvest:
        try:
            for frame in Reader().feed(data):
                harvest.take(frame)
        except (FrameError, ProblemError):
            return False
        if harvest.done and not harvest.parts:
            with contextlib.suppress(ValueError):
                verdicts.check_result(Kind.ERF, harvest)
                return True
    return False


def test_the_honest_answer_is_taken(tmp_path: Path) -> None:
    assert take(stream(honest()), tmp_path)


@pytest.mark.parametrize("how", ["messages", "bytes"])
def test_an_answer_whose_parts_are_others(tmp_path_factory: Any, how: str) -> None:
    """Both the structure of a good answer, and its bytes."""
    folder = tmp_path_factory.mktemp("answers")
    broken: dict[str, Callable[[], st.SearchStrategy[bytes]]] = {
        "messages": lambda: broken_json([honest(), *OTHERS]).map(stream),
        "bytes": lambda: broken_bytes([stream(one) for one in (honest(), *OTHERS)]),
    }

    @effort
    @given(broken[how]())
    def search(data: bytes) -> None:
        take(data, folder)

    search()


@effort
@given(broken_json([json.loads(honest()[0][1]) if honest()[0][0]["name"] == "result" else {}]))
def test_a_result_whose_values_are_others(tmp_path_factory: Any, result: Any) -> None:
    """The other messages are the honest ones."""
    first, *others = honest()
    body = json.dumps(result).encode().decode("latin-1")
    take(stream([[first[0], body], *others]), tmp_path_factory.getbasetemp())
