"""One round for many: who comes before it begins is part of it, who comes during it is part of the next."""

import asyncio

import pytest

from erfscope_jobs.together import Together


class Rounds:
    """Acts whose end the test decides; what each round was given."""

    def __init__(self) -> None:
        self.items: list[list[int]] = []
        self.doors: list[asyncio.Event] = []

    async def __call__(self, items: list[int]) -> int:
        """One round: its number, once the test opens its door."""
        self.items.append(items)
        self.doors.append(asyncio.Event())
        await self.doors[-1].wait()
        if 13 in items:
            raise ValueError("13")
        return len(self.items)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_comes_during_a_round_is_part_of_the_next() -> None:
    async def story() -> None:
        act = Rounds()
        rounds = Together(act)
        first = [asyncio.create_task(rounds.do(n)) for n in (1, 2)]
        await settle()
        late = [asyncio.create_task(rounds.do(n)) for n in (3, 4, 5)]
        await settle()
        assert act.items == [[1, 2]], "one round at a time"
        act.doors[0].set()
        assert await asyncio.gather(*first) == [1, 1]
        await settle()
        assert act.items == [[1, 2], [3, 4, 5]]
        act.doors[1].set()
        assert await asyncio.gather(*late) == [2, 2, 2]

    asyncio.run(story())


def test_an_error_is_its_rounds_alone() -> None:
    async def story() -> None:
        act = Rounds()
        rounds = Together(act)
        bad = [asyncio.create_task(rounds.do(n)) for n in (12, 13)]
        await settle()
        good = asyncio.create_task(rounds.do(14))
        act.doors[0].set()
        for one in bad:
            with pytest.raises(ValueError, match="13"):
                await one
        await settle()
        act.doors[1].set()
        assert await good == 2

    asyncio.run(story())


def test_who_goes_away_takes_nothing_from_the_others() -> None:
    async def story() -> None:
        act = Rounds()
        rounds = Together(act)
        gone, stays = (asyncio.create_task(rounds.do(n)) for n in (1, 2))
        await settle()
        gone.cancel()
        await settle()
        act.doors[0].set()
        assert await stays == 1
        assert gone.cancelled()

    asyncio.run(story())
