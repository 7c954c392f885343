"""Routes of /files: parse, call, return."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from erfscope_contract.job import ListedFiles, StoredFile
from erfscope_service.admission import require_room
from erfscope_service.files import service
from erfscope_service.preferences import PageDep
from erfscope_service.problems import of_tenant
from erfscope_service.services import ServicesDep, TenantDep
from erfscope_service.stored import FILE, Sha256Path
from erfscope_service.upload.raw import BINARY, file_name, raw_body, require_media_type

router = APIRouter(prefix="/files", tags=["files"])

DESCRIPTION = "A PNG, JPEG, WebP, a zip of them, or an npy array."
OWN_TYPES = ("image/png", "image/jpeg", "image/webp", "application/zip", "application/x-npy")
MEDIA_TYPES = (BINARY, *OWN_TYPES)


@router.post(
    "",
    status_code=201,
    operation_id="upload_file",
    summary="Store images",
    response_description="Stored.",
    responses=of_tenant("bad-request", "too-large", "unsupported-media-type", "quota-exceeded"),
    openapi_extra={"requestBody": raw_body(DESCRIPTION, OWN_TYPES)},
)
async def upload(request: Request, response: Response, services: ServicesDep, tenant: TenantDep) -> StoredFile:
    """For `input.images` of a measurement with source=images."""
    require_media_type(request.headers, MEDIA_TYPES)
    await require_room(services, tenant, FILE, request.headers)
    response.headers["Cache-Control"] = "no-store"
    return await service.keep(services, tenant, request.stream(), file_name(request.headers))


@router.delete(
    "/{sha256}",
    status_code=204,
    response_class=Response,
    operation_id="delete_file",
    summary="Forget images",
    response_description="Forgotten.",
    responses=of_tenant("not-found"),
)
async def delete(sha256: Sha256Path, services: ServicesDep, tenant: TenantDep) -> None:
    """Results that were measured on them stay, and jobs that wait with them run."""
    await service.drop(services, tenant, sha256)


@router.get(
    "",
    operation_id="list_files",
    summary="List stored images, newest first",
    response_description="One page.",
    responses=of_tenant("invalid-request"),
)
async def every(
    services: ServicesDep,
    tenant: TenantDep,
    page: PageDep,
) -> ListedFiles:
    """Their sha256 goes into `input.images`."""
    return await service.page(services, tenant, page)
