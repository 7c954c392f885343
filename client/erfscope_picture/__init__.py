"""A measured map as a picture for papers: `render` gives PNG bytes; numpy and pillow only."""

from erfscope_picture.colormap import COLORMAPS
from erfscope_picture.picture import render
from erfscope_picture.profile import render_profile
from erfscope_picture.scale import SCALES
from erfscope_picture.trend import render_trend

__all__ = ["COLORMAPS", "SCALES", "render", "render_profile", "render_trend"]
