"""The pauses before a part of `erfscope up` that died is started again."""

from dataclasses import dataclass

from erfscope_worker.embedded.restarts import FIRST, LASTED, LONGEST, Restarts


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def deaths(restarts: Restarts, clock: Clock, lasts: list[float]) -> list[float]:
    """The pause after each life of so many seconds."""
    pauses = []
    for seconds in lasts:
        restarts.started()
        clock.now += seconds
        pauses.append(restarts.died())
    return pauses


def test_pauses_double_up_to_a_limit() -> None:
    clock = Clock()
    pauses = deaths(Restarts(clock), clock, [1.0] * 10)
    assert pauses[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert pauses[-1] == pauses[-2] == LONGEST


def test_a_part_that_lasted_begins_anew() -> None:
    clock = Clock()
    assert deaths(Restarts(clock), clock, [1.0, 1.0, LASTED, 1.0]) == [FIRST, 2 * FIRST, FIRST, 2 * FIRST]


def test_it_is_due_when_the_pause_is_over_and_not_before() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    assert (restarts.is_waiting, restarts.is_due) == (False, False)
    pause = restarts.died()
    clock.now += pause / 2
    assert (restarts.is_waiting, restarts.is_due) == (True, False)
    clock.now += pause / 2
    assert (restarts.is_waiting, restarts.is_due) == (True, True)
    restarts.started()
    assert (restarts.is_waiting, restarts.is_due) == (False, False)
