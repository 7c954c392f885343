"""What `measure` and `compare` say about their figures, checked before anything is measured."""

from collections.abc import Iterable
from pathlib import Path

from erfscope._figure import FigureOptions, inches_of, needs_matplotlib, page_of


def look(
    scale: str | None, colormap: str | None, width: str | None, dpi: float | None, font: str | None,
    size: float | None, *, no_contours: bool, no_trf: bool,
) -> FigureOptions:  # fmt: skip
    """The options of figures, as `save` takes them."""
    inches = None if width is None else inches_of(width, "--width ")
    chosen = FigureOptions(scale=scale, colormap=colormap, width=inches, dpi=dpi, font=font, font_size=size)
    if no_contours:
        chosen["contours"] = False
    if no_trf:
        chosen["trf"] = False
    return chosen


def check(paths: Iterable[Path], chosen: FigureOptions) -> None:
    """Whether these figures can be drawn: matplotlib is there, and it has the font."""
    if any(needs_matplotlib(path, chosen) for path in paths):
        page_of(chosen)
