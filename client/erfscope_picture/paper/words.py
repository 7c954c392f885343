"""The words above the panels of a figure: one size of letters, and one length of what is said, for all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from erfscope_picture.paper.page import LEAST, Page
from erfscope_picture.text import shortened

_SMALLEST = 0.7  # size of the letters, of the page's
_SLACK = 1 + 1e-9
_SEPARATORS = " -_/.,"


@dataclass(frozen=True)
class Words:
    """What is to stand above a panel that is `room` inches wide; `notes` as `Panel` has them, `last` below them."""

    room: float
    title: str = ""
    notes: Sequence[str] = ()
    last: str = ""


@dataclass(frozen=True)
class Fitted:
    """Lines above each panel, the size of all their letters, of the page's, and which of the notes were taken."""

    lines: Sequence[Sequence[str]]
    size: float
    note: int

    def points(self, page: Page) -> float:
        """Size of the letters."""
        return self.size * page.font_size


def fitted(words: Sequence[Words], page: Page) -> Fitted:
    """Letters shrink to what is still read; then notes say less, and names go on two lines and lose their middle.

    A number is never cut or left out: ValueError where the shortest has no room.
    """
    smallest = min(max(_SMALLEST, LEAST / page.font_size), 1.0)
    at, size = _notes(words, page, smallest)
    names = [[one.title] for one in words]
    if (wanted := _size(_lines(words, names), page)) < smallest:
        names = [_halves(one, page, smallest) for one in words]
        wanted = _size(_lines(words, names), page)
    size = max(min(size, wanted), smallest)
    lines = []
    for one, name in zip(words, names, strict=True):

        def fits(text: str, room: float = one.room) -> bool:
            return page.length_of(text, size) <= room * _SLACK

        lines.append([text for text in (*(shortened(part, fits) for part in name), _at(one, at), one.last) if text])
    return Fitted(lines, size, at)


def _notes(words: Sequence[Words], page: Page, smallest: float) -> tuple[int, float]:
    """The longest notes that fit all panels, and the size at which they do."""
    for at in range(max((len(one.notes) for one in words), default=1) or 1):
        texts = [(text, one.room) for one in words for text in (_at(one, at), one.last)]
        if (size := _size(texts, page)) >= smallest:
            return at, size
    text, room = min(((_at(one, -1), one.room) for one in words), key=lambda pair: _size([pair], page))
    raise ValueError(
        f"above a map there are {room:.2g} inches, too few for {text!r}; give more width, or a smaller font size"
    )


def _at(words: Words, at: int) -> str:
    return words.notes[min(at, len(words.notes) - 1)] if words.notes else ""


def _lines(words: Sequence[Words], names: Sequence[Sequence[str]]) -> list[tuple[str, float]]:
    return [(part, one.room) for one, name in zip(words, names, strict=True) for part in name]


def _size(texts: Iterable[tuple[str, float]], page: Page) -> float:
    """The largest size, of the page's, at which each text fits its room; at most 1."""
    lengths = [(page.length_of(text), room) for text, room in texts]
    return min([1.0, *(room * _SLACK / length for length, room in lengths if length)])


def _halves(words: Words, page: Page, size: float) -> list[str]:
    """A name that is too long on two lines, where it has a place to be cut."""
    name = words.title
    if page.length_of(name, size) <= words.room * _SLACK:
        return [name]
    cuts = [at + 1 for at, sign in enumerate(name[:-1]) if sign in _SEPARATORS]
    if not cuts:
        return [name]
    at = min(cuts, key=lambda cut: max(page.length_of(name[:cut].rstrip()), page.length_of(name[cut:])))
    return [name[:at].rstrip(), name[at:]]
