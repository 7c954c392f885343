"""The application: routers and edge, put together."""

from collections.abc import Mapping

from fastapi import FastAPI
from starlette.middleware import Middleware

from erfscope_contract.version import __version__
from erfscope_service import openapi, page, problems
from erfscope_service.edge.absolute_form import AbsoluteFormMiddleware
from erfscope_service.edge.body_limit import BodyLimitMiddleware
from erfscope_service.edge.head import HeadMiddleware
from erfscope_service.edge.headers import SecurityHeadersMiddleware
from erfscope_service.edge.last_resort import LastResortMiddleware
from erfscope_service.edge.rate_limit import RateLimitMiddleware
from erfscope_service.edge.request_id import RequestIdMiddleware
from erfscope_service.edge.same_site import SameSiteMiddleware
from erfscope_service.edge.telemetry import TelemetryMiddleware
from erfscope_service.edge.trusted_host import TrustedHostMiddleware
from erfscope_service.erf.endpoints import router as erf
from erfscope_service.erf.report import router as report
from erfscope_service.files.endpoints import router as files
from erfscope_service.health.endpoints import router as health
from erfscope_service.jobs.endpoints import router as jobs
from erfscope_service.kinds.endpoints import router as kinds
from erfscope_service.meters import Meters
from erfscope_service.metrics.endpoints import router as metrics
from erfscope_service.models.endpoints import router as models
from erfscope_service.questions.endpoints import router_of
from erfscope_service.questions.table import QUESTIONS
from erfscope_service.schemas.endpoints import router as schemas
from erfscope_service.series.endpoints import router as series
from erfscope_service.services import lifespan
from erfscope_service.settings import ServiceSettings
from erfscope_service.upload.multipart import MAX_PARTS, MULTIPART
from erfscope_service.usage.endpoints import router as usage

MULTIPART_OVERHEAD = MAX_PARTS * 1024  # boundaries and part headers


def create_app(settings: ServiceSettings) -> FastAPI:
    """The service as an ASGI application; it opens its connections when the server starts it."""
    meters = Meters()
    app = FastAPI(
        title="erfscope",
        version=__version__,
        summary="What a network really sees.",
        description=openapi.description(),
        openapi_tags=openapi.TAGS,
        servers=openapi.SERVERS,
        docs_url=None,  # Swagger UI and ReDoc come from a CDN; /docs is a page of ours
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=edge(settings, meters),
    )
    app.state.settings = settings
    app.state.meters = meters
    for router in (
        jobs,
        erf,
        report,
        series,
        *map(router_of, QUESTIONS),
        models,
        files,
        usage,
        schemas,
        kinds,
        health,
        metrics,
        page.router,
    ):
        app.include_router(router)
    problems.install(app)
    openapi.install(app)
    return app


def edge(settings: ServiceSettings, meters: Meters) -> list[Middleware]:
    """What a request passes on its way in, outermost first."""
    return [
        Middleware(AbsoluteFormMiddleware),
        Middleware(RequestIdMiddleware),
        Middleware(TelemetryMiddleware, meters=meters),
        Middleware(HeadMiddleware),
        Middleware(SecurityHeadersMiddleware),
        Middleware(
            BodyLimitMiddleware,
            limits=body_limits(settings),
            default=settings.max_json_bytes,
            patience=settings.patience_seconds,
        ),
        Middleware(LastResortMiddleware),
        Middleware(TrustedHostMiddleware, allowed=settings.hosts),
        Middleware(SameSiteMiddleware),
        Middleware(RateLimitMiddleware),
    ]


def body_limits(settings: ServiceSettings) -> Mapping[tuple[str, str], int]:
    """Bytes by (path, media type); everything else has the limit of JSON."""
    files = settings.max_model_bytes + settings.max_data_bytes + MULTIPART_OVERHEAD
    return {
        ("/erf", MULTIPART): files + settings.max_json_bytes,
        ("/models", MULTIPART): files,
        ("/models", "*"): settings.max_model_bytes,
        ("/files", "*"): settings.max_file_bytes,
    }
