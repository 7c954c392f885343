"""Roots of pixel counts: exact where they are whole."""

import pytest

from erfscope_contract.roots import geometric_mean, root


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("layers", range(2, 6))
def test_equal_sides_have_their_own_mean(rank, layers):
    side = 2 * layers + 1
    assert geometric_mean([side] * rank) == side
    assert root(float(side**rank), rank) == side


def test_what_is_not_whole_stays_so():
    assert geometric_mean((4, 9)) == 6
    assert geometric_mean((2, 3)) == pytest.approx(6**0.5)
    assert root(28.0, 3) == pytest.approx(3.0366, abs=1e-4)
    assert (root(0.0, 3), root(0.25, 2)) == (0, 0.5)
