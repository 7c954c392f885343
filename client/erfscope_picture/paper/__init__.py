"""Figures for papers by matplotlib: PDF, SVG and PNG of a chosen width, and maps on axes that the caller has."""

from erfscope_picture.paper.figure import draw_figure, render_figure
from erfscope_picture.paper.page import FORMS, Lengths, Page
from erfscope_picture.paper.panel import Panel
from erfscope_picture.paper.plot import plot_map
from erfscope_picture.paper.profile import plot_layers, render_layers

__all__ = [
    "FORMS",
    "Lengths",
    "Page",
    "Panel",
    "draw_figure",
    "plot_layers",
    "plot_map",
    "render_figure",
    "render_layers",
]
