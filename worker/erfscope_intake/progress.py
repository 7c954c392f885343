"""Progress of an answer that is made of counted parts."""

from collections.abc import Callable

Progress = Callable[[str, float], None]  # hears the stage, and the share of it that is done


def within(progress: Progress, stage: str, number: int, count: int) -> Progress:
    """`progress` for part `number` (from 0) of `count`: it hears `measure 2 of 5` and the share of all parts."""

    def heard(_: str, share: float) -> None:
        progress(f"{stage} {number + 1} of {count}", (number + share) / count)

    heard("", 0.0)
    return heard
