"""The note on weights that look untrained: its words, and how a reader of notes recognises it."""

from collections.abc import Iterable

LOOK_UNTRAINED = "These weights look untrained"


def is_on_training(note: str) -> bool:
    """Whether a note is about training: it changes what all numbers mean, so people read it first."""
    return note.startswith(LOOK_UNTRAINED)


def training_first(notes: Iterable[str]) -> list[str]:
    """The notes, those on training before the others."""
    return sorted(notes, key=lambda note: not is_on_training(note))
