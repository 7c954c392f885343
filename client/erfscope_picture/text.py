"""Words for the picture: names made inert and short, numbers made readable."""

import unicodedata
from collections.abc import Callable

ELLIPSIS = "…"
# What pillow's built-in font (Aileron) holds, with the signs the canvas draws itself.
_KNOWN = frozenset(map(chr, range(32, 127))) | {ELLIPSIS, "·", "×", "±", "≥"}


def inert(name: str) -> str:
    """A name from a model file as plain text: no controls, accents dropped, unknown letters as '?'."""
    spaced = " ".join(unicodedata.normalize("NFKD", name).split())
    kept = (c for c in spaced if unicodedata.category(c)[0] not in "CM")
    return " ".join("".join(c if c in _KNOWN else "?" for c in kept).split())


def shortened(text: str, fits: Callable[[str], bool]) -> str:
    """The text, or as much of its head and tail around an ellipsis as fits."""
    if fits(text):
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(_without_middle(text, middle)) else (low, middle)
    return _without_middle(text, low)


def _without_middle(text: str, kept: int) -> str:
    head = (kept + 1) // 2
    return text[:head] + ELLIPSIS + text[len(text) - (kept - head) :]


def number(value: float) -> str:
    """Three significant digits, integers in full."""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def product(sizes: list[int]) -> str:
    """Sizes per axis, as 3×5×7."""
    return "×".join(str(size) for size in sizes)
