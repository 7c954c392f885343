"""erfscope: what a network really sees. The SDK's public face; everything else here is private."""

from erfscope import errors
from erfscope._async_client import AsyncClient
from erfscope._client import Client
from erfscope._errors import (
    APIError,
    ConnectionFailed,
    ErfscopeError,
    JobCanceled,
    JobExpired,
    JobFailed,
    ResultTimeout,
)
from erfscope._job import AsyncJobHandle, JobHandle
from erfscope._result import AsyncResult, Result
from erfscope._version import __version__
from erfscope.contract.architecture import Architecture
from erfscope.contract.job import Health, Inspection, Job, Status, StoredFile, StoredModel
from erfscope.contract.problem import Problem
from erfscope.contract.request import ErfRequest, ModelRef
from erfscope.contract.result import ErfResult

__all__ = [
    "APIError",
    "Architecture",
    "AsyncClient",
    "AsyncJobHandle",
    "AsyncResult",
    "Client",
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
    "Status",
    "StoredFile",
    "StoredModel",
    "__version__",
    "errors",
]
