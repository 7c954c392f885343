"""Advice: which changes of a network give a unit the effective receptive field that is wanted."""

from erfscope_intake.advice.advise import advise

__all__ = ["advise"]
