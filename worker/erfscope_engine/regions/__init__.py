"""The region algebra: a table operator → rule, and the walk that applies it backward along a tape."""

from erfscope_engine.regions import layout, mixing, resample, windows
from erfscope_engine.regions.interval import Interval, Region, whole
from erfscope_engine.regions.table import RULES
from erfscope_engine.regions.walk import Reach, trace

__all__ = [
    "RULES",
    "Interval",
    "Reach",
    "Region",
    "layout",
    "mixing",
    "resample",
    "trace",
    "whole",
    "windows",
]
