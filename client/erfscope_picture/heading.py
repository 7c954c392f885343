"""Title and line of figures at the top of every picture."""

from erfscope_picture.canvas import SUBTLE, Canvas, text_width
from erfscope_picture.marks import Marks
from erfscope_picture.text import inert, shortened

MARGIN = 36
HEIGHT = 92  # what the heading takes from the top of the page
_TITLE, _FIGURES = 22, 14


def draw_heading(canvas: Canvas, marks: Marks, title: str | None) -> None:
    """Model name · layer · unit, the layer shortened in its middle until all fits; below it the figures."""
    room = canvas.image.width - 2 * MARGIN
    model = shortened(inert(title or ""), lambda text: text_width(text, _TITLE) <= 0.4 * room)
    ends = (f"{model} · " if model else "", f" · {marks.unit}")
    layer = shortened(marks.layer, lambda text: text_width(text.join(ends), _TITLE) <= room)
    canvas.text(MARGIN, 36, layer.join(ends), _TITLE)
    figures = shortened(marks.metrics, lambda text: text_width(text, _FIGURES) <= room)
    canvas.text(MARGIN, 64, figures, _FIGURES, color=SUBTLE)
