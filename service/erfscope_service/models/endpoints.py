"""Routes of /models: parse, call, return."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from erfscope.contract.job import StoredModel
from erfscope_service.models import service
from erfscope_service.problems import of_tenant
from erfscope_service.services import ServicesDep, TenantDep
from erfscope_service.upload.raw import BINARY, ONNX, file_name, raw_body, require_media_type
from erfscope_service.upload.sink import store

router = APIRouter(prefix="/models", tags=["models"])

MEDIA_TYPES = (BINARY, *ONNX)
Sha256Path = Annotated[str, Path(description="Lower-case hexadecimal sha256.", examples=["0" * 64])]


@router.post(
    "",
    status_code=202,
    summary="Store an ONNX model",
    response_description="Stored; its inspection is on its way, or done.",
    responses=of_tenant("bad-request", "too-large", "unsupported-media-type"),
    openapi_extra={"requestBody": raw_body("The ONNX file.", MEDIA_TYPES)},
)
async def upload(request: Request, response: Response, services: ServicesDep, tenant: TenantDep) -> StoredModel:
    """The file is the body, not a form. Its inspection runs as a job; look again for what it found.

    A file name in Content-Disposition becomes the model's label.
    """
    require_media_type(request.headers, MEDIA_TYPES)
    blob = await store(request.stream(), services.blobs, services.settings.max_model_bytes)
    response.headers["Location"] = f"/models/{blob.sha256}"
    response.headers["Cache-Control"] = "no-store"
    return await service.keep(services, tenant, blob, file_name(request.headers))


@router.get(
    "/{sha256}",
    summary="What is inside a model",
    response_description="The model.",
    responses=of_tenant("not-found"),
)
async def look(sha256: Sha256Path, response: Response, services: ServicesDep, tenant: TenantDep) -> StoredModel:
    """Inputs, layers with shape, TRF size and stride, operators, and what cannot be converted."""
    response.headers["Cache-Control"] = "no-store"
    return await service.look(services, tenant, sha256)


@router.delete(
    "/{sha256}",
    status_code=204,
    response_class=Response,
    summary="Forget a model",
    response_description="Forgotten.",
    responses=of_tenant("not-found"),
)
async def delete(sha256: Sha256Path, services: ServicesDep, tenant: TenantDep) -> None:
    """Results that were computed from it stay."""
    await service.drop(services, tenant, sha256)
