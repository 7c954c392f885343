"""Whose weights a result was measured with: one phrase in every answer, table and report."""

import pytest

from erfscope_contract.about import About, in_words, weights_in_words
from erfscope_contract.request import Source, Weights


@pytest.mark.parametrize(
    ("weights", "is_file", "is_known", "words"),
    [
        (Weights.GIVEN, True, True, "the file's own"),
        (Weights.GIVEN, False, True, "by the spec's scheme"),
        (Weights.GIVEN, False, False, "the model's own"),
        (Weights.KAIMING_NORMAL, True, True, "by kaiming_normal"),
    ],
)
def test_weights_in_words(weights: Weights, is_file: bool, is_known: bool, words: str) -> None:
    assert weights_in_words(weights, is_file=is_file, is_known=is_known) == words


def test_a_question_uses_the_same_words() -> None:
    about = About(model="tiny", weights=Weights.GIVEN, source=Source.NORMAL, seed=0)
    assert f"weights {weights_in_words(Weights.GIVEN, is_file=False)};" in in_words(about, "tiny", "1×8")[0]
