"""What a figure for a paper looks like: width, resolution, fonts, colours, and the unit of its lengths."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.colors import ListedColormap, LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.textpath import TextPath

from erfscope_picture import colormap as colormaps
from erfscope_picture import scale as scales
from erfscope_picture.colormap import RGB

FORMS = (".pdf", ".svg", ".png")
SMALLER = 0.875  # font of ticks and legend, of the page's
TICK, PAD = 2.5, 2.0  # points: length of a tick, room between it, its number and the axis' name
_CUT = 1 / 72  # inches beyond the page that may be cut: marks have as much around them
LEAST = 5.0  # points; letters are never made smaller than this
GENERIC = ("serif", "sans-serif", "monospace")
# Without dates and with fixed names the same figure has the same bytes.
_UNDATED: Mapping[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None, "ModDate": None, "Creator": "erfscope", "Producer": None},
    ".svg": {"Date": None, "Creator": "erfscope"},
    ".png": {"Software": "erfscope"},
}


@dataclass(frozen=True)
class Lengths:
    """The unit in which an axis is read: one pixel is `step` of it."""

    unit: str = "px"
    step: float = 1.0


@dataclass(frozen=True)
class Page:
    """Width in inches (None: the figure's usual one), dots per inch of a PNG, font, its size in points, colours.

    `contours` draws the lines around 50, 90 and 99 % of the mass, `trf` the box of the theoretical field.
    """

    width: float | None = None
    dpi: float = 300
    font: str | None = None
    font_size: float = 8
    scale: str = "sqrt"
    colormap: str = "viridis"
    contours: bool = True
    trf: bool = True

    def __post_init__(self) -> None:
        scales.checked(self.scale)
        colormaps.checked(self.colormap)
        for name, value, low, high in (
            ("width", self.width, 1, 100),
            ("dpi", self.dpi, 20, 2400),
            ("font size", self.font_size, 2, 72),
        ):
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} {value:g} of a figure must be from {low} to {high}")
        if self.font is not None:
            _check_font(self.font)

    @property
    def norm(self) -> Normalize:
        """From a share of the maximum to a place on the colour bar, as in every other picture."""
        match self.scale:
            case "linear":
                return Normalize(0, 1, clip=True)
            case "log":
                return LogNorm(10.0**-scales.DECADES, 1, clip=True)
        return PowerNorm(0.5, 0, 1, clip=True)

    @property
    def colours(self) -> ListedColormap:
        """The colour map's 256 colours."""
        return ListedColormap(colormaps.table(self.colormap) / 255, self.colormap)

    @property
    def accent(self) -> tuple[float, float, float]:
        """The colour of the TRF box and the centre."""
        return as_shares(colormaps.accent(self.colormap))

    def length_of(self, text: str, size: float = 1.0) -> float:
        """Inches that a line of text takes, in a font of `size` times the page's; within `style`."""
        if not text.strip():
            return 0.0
        path = TextPath((0, 0), text.replace("$", r"\$"), size=size * self.font_size)  # no mathematics, as it is drawn
        return float(path.get_extents().x1) / 72

    @contextmanager
    def style(self) -> Iterator[None]:
        """matplotlib's settings for this page, whatever the caller's are."""
        with matplotlib.rc_context(matplotlib.rcParamsDefault):
            matplotlib.rcParams.update(self._settings())
            yield

    def _settings(self) -> dict[Any, Any]:
        settings: dict[Any, Any] = {
            "font.size": self.font_size,
            "axes.titlesize": self.font_size,
            "axes.linewidth": 0.5,
            "xtick.major.width": 0.5,
            "ytick.major.width": 0.5,
            "xtick.major.size": TICK,
            "ytick.major.size": TICK,
            "xtick.major.pad": PAD,
            "ytick.major.pad": PAD,
            "axes.labelpad": PAD,
            "xtick.labelsize": self.font_size * SMALLER,
            "ytick.labelsize": self.font_size * SMALLER,
            "legend.fontsize": self.font_size * SMALLER,
            "pdf.fonttype": 42,  # letters stay letters: what journals ask for
            "svg.fonttype": "path",
            "svg.hashsalt": "erfscope",
        }
        if self.font is not None:
            settings["font.family"] = [self.font]
        return settings


USUAL_PAGE = Page()


def as_shares(color: RGB) -> tuple[float, float, float]:
    """A colour of 0 to 255 as matplotlib has it."""
    red, green, blue = color
    return red / 255, green / 255, blue / 255


def check_fits(figure: Figure) -> None:
    """ValueError where words or marks of a figure are beyond its page: it would be cut there."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # things are placed when they are drawn
    extent, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    beyond = max(-extent.x0, -extent.y0, extent.x1 - width, extent.y1 - height)
    if beyond > _CUT:
        raise ValueError(
            f"the words of this figure do not fit into {width:.3g} inches; give more width, or a smaller font size"
        )


def encoded(figure: Figure, form: str, page: Page) -> bytes:
    """The figure's bytes in a form of FORMS, the same for the same figure."""
    buffer = BytesIO()
    figure.savefig(buffer, format=form.removeprefix("."), dpi=page.dpi, metadata=_UNDATED[form])
    return buffer.getvalue()


def _check_font(font: str) -> None:
    if font in GENERIC:
        return
    try:
        findfont(font, fallback_to_default=False)
    except ValueError:
        raise ValueError(
            f"font {font!r} is not installed here; give {', '.join(GENERIC)} or the name of a font that "
            "matplotlib.font_manager.get_font_names() lists"
        ) from None
