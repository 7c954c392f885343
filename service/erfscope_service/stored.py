"""A tenant's stored files and models: what was just received, and the look-up by sha256 that refuses unknown ones."""

from typing import Annotated

from fastapi import Path

from erfscope_contract.problem import FieldError, ProblemError
from erfscope_jobs.records import Upload
from erfscope_service.services import Services
from erfscope_service.upload.form import StoredFiles

FILE, MODEL = "file", "model"
Sha256Path = Annotated[str, Path(description="Lower-case hexadecimal sha256.", examples=["0" * 64])]
_ROUTES = {FILE: "/files", MODEL: "/models"}


def uploaded(tenant: str, stored: StoredFiles, name: str) -> Upload:
    """A model that has just come in as the tenant's; without a name it is called by its sha256."""
    label = name or f"{stored.sha256[:12]}.onnx"
    return Upload(tenant, MODEL, stored.sha256, stored.size, label, onnx=stored.onnx.sha256, data=stored.hashes)


async def require(services: Services, tenant: str, kind: str, sha256: str, at: str) -> Upload:
    """The tenant's file of that name; raises `invalid-request` with the pointer `at`, another tenant's file alike."""
    upload = await services.ledger.find_upload(tenant, kind, sha256)
    if upload is None:
        detail = f"There is no stored {kind} of this sha256; send it to POST {_ROUTES[kind]}."
        raise ProblemError("invalid-request", detail, errors=[FieldError(pointer=at, detail=detail)])
    return upload
