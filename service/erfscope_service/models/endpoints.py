"""Routes of /models: parse, call, return."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from erfscope_contract.job import ListedModels, StoredModel
from erfscope_contract.problem import ProblemError
from erfscope_service.admission import require_room
from erfscope_service.bodies import media_type_of
from erfscope_service.models import service
from erfscope_service.preferences import PageDep, PreferHeader, applied, seconds_to_wait
from erfscope_service.problems import of_tenant
from erfscope_service.services import Services, ServicesDep, TenantDep
from erfscope_service.stored import MODEL as UPLOAD
from erfscope_service.stored import Sha256Path
from erfscope_service.upload.form import DATA, MODEL, StoredFiles, read_form
from erfscope_service.upload.multipart import MULTIPART, boundary_of
from erfscope_service.upload.raw import BINARY, ONNX, file_name, model_form, raw_body, require_media_type
from erfscope_service.upload.sink import store

router = APIRouter(prefix="/models", tags=["models"])

MEDIA_TYPES = (BINARY, *ONNX)
BODY = raw_body("The ONNX file; or a form of it and the files beside it.", ONNX)
BODY["content"][MULTIPART] = {"schema": model_form()}


@router.post(
    "",
    status_code=202,
    operation_id="upload_model",
    summary="Store an ONNX model",
    response_description="Stored; its inspection is on its way, or done.",
    responses=of_tenant("bad-request", "external-data", "too-large", "unsupported-media-type", "quota-exceeded"),
    openapi_extra={"requestBody": BODY},
)
async def upload(
    request: Request, response: Response, services: ServicesDep, tenant: TenantDep, prefer: PreferHeader = None
) -> StoredModel:
    """The body is the file itself, or a form if files lie beside it. Its inspection runs as a job; look again for it.

    A file name in Content-Disposition (of the form's part `model`, or of the body) becomes the model's label.
    """
    seconds = seconds_to_wait(prefer, services)
    stored, name = await _received(request, services, tenant)
    response.headers.update({"Location": f"/models/{stored.sha256}", "Cache-Control": "no-store", **applied(seconds)})
    return await service.keep(services, tenant, stored, name, seconds or 0.0)


async def _received(request: Request, services: Services, tenant: str) -> tuple[StoredFiles, str]:
    """What the body holds, and its name; raises bad-request, external-data, too-large, unsupported-media-type."""
    require_media_type(request.headers, (*MEDIA_TYPES, MULTIPART))
    await require_room(services, tenant, UPLOAD, request.headers)
    if media_type_of(request.headers) != MULTIPART:
        blob = await store(request.stream(), services.blobs, services.settings.max_model_bytes)
        return StoredFiles(blob), file_name(request.headers)
    boundary = boundary_of(request.headers["content-type"])
    form = await read_form(request.stream(), boundary, services.blobs, services.settings, (MODEL, DATA))
    if form.model is None:
        raise ProblemError("bad-request", "The form has no part 'model'; send the ONNX file as that.")
    return form.model, form.name


@router.get(
    "/{sha256}",
    operation_id="get_model",
    summary="What is inside a model",
    response_description="The model.",
    responses=of_tenant("not-found"),
)
async def look(
    sha256: Sha256Path, response: Response, services: ServicesDep, tenant: TenantDep, prefer: PreferHeader = None
) -> StoredModel:
    """Inputs, layers with shape, TRF size and stride, operators, and what cannot be converted.

    Looking starts nothing: `status` is null where nobody had the model inspected.
    """
    seconds = seconds_to_wait(prefer, services)
    response.headers.update({"Cache-Control": "no-store", **applied(seconds)})
    return await service.look(services, tenant, sha256, seconds or 0.0)


@router.post(
    "/{sha256}",
    status_code=202,
    operation_id="inspect_model",
    summary="Have a stored model inspected",
    response_description="Its inspection is on its way, or done.",
    responses=of_tenant("not-found", "quota-exceeded"),
)
async def inspect(
    sha256: Sha256Path, response: Response, services: ServicesDep, tenant: TenantDep, prefer: PreferHeader = None
) -> StoredModel:
    """For a model that came with a measurement, or whose inspection failed or has expired. Repeating it is safe."""
    seconds = seconds_to_wait(prefer, services)
    response.headers.update({"Cache-Control": "no-store", **applied(seconds)})
    return await service.inspect(services, tenant, sha256, seconds or 0.0)


@router.delete(
    "/{sha256}",
    status_code=204,
    response_class=Response,
    operation_id="delete_model",
    summary="Forget a model",
    response_description="Forgotten.",
    responses=of_tenant("not-found"),
)
async def delete(sha256: Sha256Path, services: ServicesDep, tenant: TenantDep) -> None:
    """Results that were computed from it stay."""
    await service.drop(services, tenant, sha256)


@router.get(
    "",
    operation_id="list_models",
    summary="List stored models, newest first",
    response_description="One page.",
    responses=of_tenant("invalid-request"),
)
async def every(
    services: ServicesDep,
    tenant: TenantDep,
    page: PageDep,
) -> ListedModels:
    """GET /models/{sha256} has what is inside a model."""
    return await service.page(services, tenant, page)
