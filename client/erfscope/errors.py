"""Every error by name: the ladder, and one class per row of the error table (`errors.InvalidTarget`, …)."""

from erfscope._errors import (
    BY_KIND,
    APIError,
    ConnectionFailed,
    ErfscopeError,
    JobCanceled,
    JobExpired,
    JobFailed,
    ResultTimeout,
    SeriesUnfinished,
)

_BY_NAME = {row.__name__: row for row in BY_KIND.values()}

__all__ = [  # noqa: PLE0604 – the rows' names come from the error table
    "APIError",
    "ConnectionFailed",
    "ErfscopeError",
    "JobCanceled",
    "JobExpired",
    "JobFailed",
    "ResultTimeout",
    "SeriesUnfinished",
    *_BY_NAME,
]


def __getattr__(name: str) -> type[APIError]:
    if name not in _BY_NAME:
        raise AttributeError(f"module 'erfscope.errors' has no attribute {name!r}")
    return _BY_NAME[name]


def __dir__() -> list[str]:
    return sorted(__all__)
