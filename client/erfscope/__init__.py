"""erfscope: what a network really sees. The SDK's public face; everything else here is private.

Names load when they are first used: the pytest plugin is part of every pytest run, and must cost it nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from erfscope_contract.version import __version__

if TYPE_CHECKING:
    from erfscope import errors
    from erfscope._async_client import AsyncClient
    from erfscope._client import Client
    from erfscope._compare import Comparison, compare
    from erfscope._errors import (
        APIError,
        ConnectionFailed,
        ErfscopeError,
        JobCanceled,
        JobExpired,
        JobFailed,
        ResultTimeout,
        SeriesUnfinished,
    )
    from erfscope._job import AsyncJobHandle, JobHandle
    from erfscope._result import AsyncResult, Result
    from erfscope._series import AsyncSeriesHandle, SeriesHandle
    from erfscope_contract.architecture import Architecture
    from erfscope_contract.job import Health, Inspection, Job, Status, StoredFile, StoredModel
    from erfscope_contract.problem import Problem
    from erfscope_contract.request import ErfRequest, ModelRef
    from erfscope_contract.result import ErfResult
    from erfscope_contract.series import Series
    from erfscope_contract.usage import Usage

__all__ = [
    "APIError",
    "Architecture",
    "AsyncClient",
    "AsyncJobHandle",
    "AsyncResult",
    "AsyncSeriesHandle",
    "Client",
    "Comparison",
    "ConnectionFailed",
    "ErfRequest",
    "ErfResult",
    "ErfscopeError",
    "Health",
    "Inspection",
    "Job",
    "JobCanceled",
    "JobExpired",
    "JobFailed",
    "JobHandle",
    "ModelRef",
    "Problem",
    "Result",
    "ResultTimeout",
    "Series",
    "SeriesHandle",
    "SeriesUnfinished",
    "Status",
    "StoredFile",
    "StoredModel",
    "Usage",
    "__version__",
    "compare",
    "errors",
]

_HOMES = {
    "erfscope._async_client": ("AsyncClient",),
    "erfscope._client": ("Client",),
    "erfscope._compare": ("Comparison", "compare"),
    "erfscope._errors": (
        "APIError",
        "ConnectionFailed",
        "ErfscopeError",
        "JobCanceled",
        "JobExpired",
        "JobFailed",
        "ResultTimeout",
        "SeriesUnfinished",
    ),
    "erfscope._job": ("AsyncJobHandle", "JobHandle"),
    "erfscope._result": ("AsyncResult", "Result"),
    "erfscope._series": ("AsyncSeriesHandle", "SeriesHandle"),
    "erfscope_contract.architecture": ("Architecture",),
    "erfscope_contract.usage": ("Usage",),
    "erfscope_contract.job": ("Health", "Inspection", "Job", "Status", "StoredFile", "StoredModel"),
    "erfscope_contract.problem": ("Problem",),
    "erfscope_contract.request": ("ErfRequest", "ModelRef"),
    "erfscope_contract.result": ("ErfResult",),
    "erfscope_contract.series": ("Series",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a wrong name stays an error to type checkers

    def __getattr__(name: str) -> Any:
        if name == "errors":
            return import_module("erfscope.errors")
        if name not in _HOME_OF:
            raise AttributeError(f"module 'erfscope' has no attribute {name!r}")
        found = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted(__all__)
