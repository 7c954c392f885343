"""Advice on a model or a spec: changed ones are looked at by the analytic method, the best verified by gradient."""

from erfscope_intake.advice.advise import advise

__all__ = ["advise"]
