"""The protocol between worker and child: whole frames from any pieces, nothing unbounded, nothing unchecked."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erfscope_contract.problem import ProblemError
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.settings import Settings
from erfscope_worker import frames
from erfscope_worker.frames import Frame, FrameError, Reader
from erfscope_worker.harvest import MOST_ARRAYS, Harvest

HEADERS = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)


def written(*messages: Frame) -> bytes:
    """What `send` puts on the wire."""
    reading, writing = os.pipe()
    try:
        for message in messages:
            frames.send(writing, message.header, message.body)
        return os.read(reading, 1 << 16)
    finally:
        os.close(reading)
        os.close(writing)


@settings(deadline=None)
@given(st.lists(st.builds(Frame, HEADERS, st.binary(max_size=20)), min_size=1, max_size=4), st.data())
def test_frames_survive_any_cutting(messages: list[Frame], data: st.DataObject) -> None:
    stream, reader, got = written(*messages), Reader(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        got += list(reader.feed(stream[:cut]))
        stream = stream[cut:]
    assert got == messages


def test_receive_takes_one_frame_and_no_byte_of_the_next() -> None:
    reading, writing = os.pipe()
    for number in range(3):
        frames.send(writing, {"n": number}, b"body")
    os.close(writing)
    assert [frame.header["n"] for frame in iter(lambda: frames.receive(reading), None)] == [0, 1, 2]
    os.close(reading)


BAD = {
    "huge": b"\xff" * 8,
    "huge body": frames.LENGTHS.pack(2, frames.MOST_BODY + 1) + b"{}",
    "not json": frames.LENGTHS.pack(2, 0) + b"{x",
    "not an object": frames.LENGTHS.pack(2, 0) + b"[]",
    "deep": frames.LENGTHS.pack(100_000, 0) + b"[" * 100_000,
}


@pytest.mark.parametrize("name", BAD)
def test_broken_frames_are_refused(name: str) -> None:
    with pytest.raises(FrameError):
        list(Reader().feed(BAD[name]))


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path)


@pytest.fixture
def harvest(store: BlobStore) -> Iterator[Harvest]:
    with Harvest(Settings(max_result_bytes=10, max_array_bytes=10), store) as harvest:
        yield harvest


def part(name: str, body: bytes = b"x") -> Frame:
    return Frame({"type": "part", "name": name}, body)


UNWANTED: dict[str, Frame] = {
    "no type": Frame({}),
    "unknown type": Frame({"type": "rm"}),
    "unhashable type": Frame({"type": ["part"]}),
    "unknown part": part("script"),
    "path in name": part("array:../../etc/cron.d/x"),
    "long name": part("array:" + "a" * 65),
    "progress of text": Frame({"type": "progress", "stage": "load", "share": "half"}),
    "progress of nan": Frame({"type": "progress", "stage": "load", "share": float("nan")}),
    "progress without stage": Frame({"type": "progress", "share": 0.5}),
    "shapeless problem": Frame({"type": "problem", "problem": {"type": 1}}),
}


@pytest.mark.parametrize("name", UNWANTED)
def test_unwanted_messages_are_refused(harvest: Harvest, name: str) -> None:
    with pytest.raises(FrameError):
        harvest.take(UNWANTED[name])


def test_a_stage_with_counts_is_timed_under_its_word(harvest: Harvest) -> None:
    for stage in ("search", "search 1 tried", "verify 1 of 2", "verify 2 of 2"):
        harvest.take(Frame({"type": "progress", "stage": stage, "share": 0.5}))
    assert harvest.stage == "verify 2 of 2"
    harvest.take(Frame({"type": "done"}))
    assert harvest.timing("worker").stages.keys() == {"search", "verify"}


def test_nothing_comes_after_done(harvest: Harvest) -> None:
    harvest.take(Frame({"type": "done"}))
    with pytest.raises(FrameError):
        harvest.take(part("result"))


def test_number_and_size_of_arrays_are_bounded(harvest: Harvest) -> None:
    with pytest.raises(ProblemError, match="More than 10 bytes"):
        harvest.take(part("array:big", bytes(11)))
    for number in range(MOST_ARRAYS - 1):
        harvest.take(part(f"array:{number}"))
    with pytest.raises(FrameError):
        harvest.take(part("array:one-more"))


@pytest.mark.parametrize("name", ["result", "figure"])
def test_an_answer_that_is_too_long_is_a_verdict_and_not_a_crash(harvest: Harvest, name: str) -> None:
    harvest.take(part(name, bytes(10)))
    with pytest.raises(ProblemError, match=f"{name} is over the limit of 10 bytes"):
        harvest.take(part(name))
    assert (harvest.excess, len(harvest.result) + len(harvest.figure)) == (name, 10)


def test_orders_may_be_larger_than_what_a_child_may_say() -> None:
    reading, writing = os.pipe()
    header = {"orders": "x" * frames.MOST_HEADER}
    thread = threading.Thread(target=frames.send, args=(writing, header))
    thread.start()
    frame = frames.receive(reading, frames.MOST_ORDERS)
    thread.join()
    assert frame is not None
    assert frame.header == header
    with pytest.raises(FrameError):
        list(Reader().feed(frames.LENGTHS.pack(frames.MOST_HEADER + 1, 0)))
    os.close(reading)
    os.close(writing)


def test_shares_stay_between_none_and_all(harvest: Harvest) -> None:
    for share, kept in ((-1, 0.0), (0.5, 0.5), (1e300, 1.0)):
        harvest.take(Frame({"type": "progress", "stage": "measure", "share": share}))
        assert harvest.share == kept


def test_unfinished_files_go(store: BlobStore) -> None:
    with Harvest(Settings(), store) as harvest:
        harvest.take(part("array:map"))
        assert list(store.temporary.iterdir())
    assert not list(store.temporary.iterdir())
