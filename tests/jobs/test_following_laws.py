"""Whoever follows whatever, in any order: each hears all that came after its own event, once, and of nobody else's."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erfscope_contract.problem import ProblemError
from erfscope_jobs import replies
from erfscope_jobs.following import Following
from erfscope_jobs.records import Event

JOBS = ("a", "b", "c")
BROKEN = "c"
PATIENCE = 20.0


@dataclass
class Streams:
    """Streams of events as Redis has them; XREAD waits for something after the ids asked for."""

    entries: dict[str, list[int]] = field(default_factory=lambda: {job: [] for job in JOBS})
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    is_broken: bool = False

    async def append(self, job: str) -> None:
        async with self.news:
            self.entries[job].append(1 + sum(map(len, self.entries.values())))
            self.news.notify_all()

    def after(self, job: str, id: str) -> list[int]:
        return [number for number in self.entries[job] if number > int(id.partition("-")[0])]

    async def read(self, asked: Mapping[str, str], wait: float) -> Any:
        async with self.news:
            try:
                async with asyncio.timeout(wait):
                    await self.news.wait_for(lambda: any(self.after(job, id) for job, id in asked.items()))
            except TimeoutError:
                return {}
            return replies.events("", [[job.encode(), self.raw(job, id)] for job, id in asked.items()])

    def raw(self, job: str, id: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        text = b"{no json" if self.is_broken and job == BROKEN else b'{"status": "running"}'
        return [(f"{number}-0".encode(), {b"data": text}) for number in self.after(job, id)]


Step = tuple[str, str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(JOBS), st.just(0)),
        st.tuples(st.just("follow"), st.sampled_from(JOBS), st.integers(0, 12)),
        st.tuples(st.just("pause"), st.just(""), st.integers(0, 3)),
    ),
    max_size=30,
)


async def follow_to_the_end(following: Following, streams: Streams, job: str, after: int, last: int) -> list[int]:
    """All that a follower hears until it has heard of the last event."""
    heard: list[int] = []
    at = f"{after}-0"
    while int(at.partition("-")[0]) < last:
        events: Sequence[Event] = await following.events(job, at, PATIENCE)
        heard += [int(event.id.partition("-")[0]) for event in events]
        at = events[-1].id
    return heard


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_each_follower_hears_all_that_came_after_its_own_event_once(steps: list[Step]) -> None:
    async def story() -> list[tuple[list[int], list[int]]]:
        streams = Streams()
        following = Following(streams.read)
        total, ends = 0, dict.fromkeys(JOBS, 0)
        for what, job, _ in steps:
            if what == "append":
                total += 1
                ends[job] = total
        tasks = []
        for what, job, number in steps:
            if what == "append":
                await streams.append(job)
            elif what == "follow":
                heard = asyncio.create_task(follow_to_the_end(following, streams, job, number, ends[job]))
                tasks.append((job, number, heard))
            else:
                for _ in range(number):
                    await asyncio.sleep(0)
        told = [(await heard, [n for n in streams.entries[job] if n > number]) for job, number, heard in tasks]
        await following.close()
        return told

    for heard, expected in asyncio.run(story()):
        assert heard == expected


def test_who_comes_during_a_read_from_a_later_event_misses_none_of_the_earlier() -> None:
    async def story() -> tuple[list[int], list[int]]:
        streams = Streams(entries={"a": [1, 2, 3], "b": [], "c": []})
        following = Following(streams.read)
        late = asyncio.create_task(follow_to_the_end(following, streams, "a", 3, 4))
        for _ in range(10):
            await asyncio.sleep(0)  # the read for this follower alone is under way
        early = asyncio.create_task(follow_to_the_end(following, streams, "a", 0, 4))
        await asyncio.sleep(0)
        await streams.append("a")
        heard = await late, await early
        await following.close()
        return heard

    assert asyncio.run(story()) == ([4], [1, 2, 3, 4])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(JOBS), min_size=3, max_size=12))
def test_an_event_that_cannot_be_read_ends_only_its_own_jobs_streams(followed: list[str]) -> None:
    async def story() -> list[tuple[str, object]]:
        streams = Streams(is_broken=True)
        following = Following(streams.read)
        tasks = [(job, asyncio.create_task(following.events(job, "0-0", PATIENCE))) for job in followed]
        await asyncio.sleep(0)
        for job in (BROKEN, *JOBS):
            await streams.append(job)
        ended = [(job, (await asyncio.gather(task, return_exceptions=True))[0]) for job, task in tasks]
        await following.close()
        return ended

    for job, outcome in asyncio.run(story()):
        if job == BROKEN:
            assert isinstance(outcome, ProblemError)
            assert (outcome.kind, BROKEN in str(outcome)) == ("internal", True)
        else:
            assert isinstance(outcome, list)
            assert len(outcome) == 1


@pytest.mark.parametrize("entry", [{}, {b"data": b"nan{"}, {b"data": b"\xff"}, None])
def test_whatever_an_entry_is_only_its_job_is_unreadable(entry: Any) -> None:
    good = {b"data": b'{"status": "queued"}'}
    found = replies.events("e:", [[b"e:bad", [(b"1-0", entry)]], [b"e:good", [(b"2-0", good)]]])
    assert isinstance(found["bad"], ProblemError)
    assert found["good"] == [Event("2-0", {"status": "queued"})]
