"""Random programs over images: all that test_programs.py says, of the kind of program that most people have.

The examples follow from the source of the test: a word changed in it is other programs.
"""

from hypothesis import given
from tests.engine.programs import Program
from tests.engine.test_programs import _holds, followed, suite


@suite(60)
@given(followed(2))
def test_programs_over_images(drawn: Program) -> None:
    _holds(drawn)
