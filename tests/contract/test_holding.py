"""How many samples decide whether a size reaches a bound, and how it is told."""

import pytest

from erfscope_contract.holding import samples_in_words, samples_to_decide


@pytest.mark.parametrize(
    ("size", "error", "bound", "samples", "count"),
    [
        (30.0, 4.0, 36.0, 8, 15),  # two errors of 8 samples are 8 px, of 15 samples 5.8 px
        (36.0, 4.0, 30.0, 8, 15),
        (30.0, 4.0, 31.0, 8, 520),  # 512, in two digits
        (30.0, 4.0, 30.1, 8, None),
        (30.0, 4.0, 30.0, 8, None),
        (30.0, 1.0, 32.0, 8, 9),  # on the very bound
    ],
)
def test_two_standard_errors_fall_below_what_is_missing(
    size: float, error: float, bound: float, samples: int, count: int | None
) -> None:
    assert samples_to_decide(size, error, bound, samples) == count


def test_what_to_do_is_told_with_the_option() -> None:
    assert samples_in_words(30, 4, 36, 8) == "About 15 samples would decide it (samples, --inputs 15); there were 8."
    assert samples_in_words(30, 4, 30.1, 8).startswith("Even 1,000 samples, the most that can be taken")
    assert samples_in_words(30, 4, 36, None) == "Take more samples (samples, --inputs)."
