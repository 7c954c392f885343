"""What the endpoints stand on, opened once per process and handed to each of them."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from erfscope_jobs.aio import AsyncLedger
from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.rates import Rates
from erfscope_jobs.reaper import Reaper
from erfscope_jobs.remote import open_store
from erfscope_service.callers import CredentialsDep, Door
from erfscope_service.doorbell import PromptDoorbell
from erfscope_service.drawing import Easel
from erfscope_service.edge.rate_limit import telling
from erfscope_service.health.probe import BlobProbe
from erfscope_service.queries import refuse_unknown
from erfscope_service.settings import ServiceSettings
from erfscope_service.watchers import Watchers

THREADS = 64  # of which most wait for files; asyncio's own few are soon taken by uploads to a far store, and all wait
QUIET_SECONDS = 3.0


@dataclass(frozen=True)
class Services:
    """The ledger, the blobs, the doorbell, the door; `stopping` is set when the server begins to shut down."""

    settings: ServiceSettings
    ledger: AsyncLedger
    blobs: BlobStore
    blobs_probe: BlobProbe
    doorbell: PromptDoorbell
    door: Door
    watchers: Watchers
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    easel: Easel = field(default_factory=Easel)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the services, run this replica's reaper, close everything."""
    settings: ServiceSettings = app.state.settings
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "erfscope"))
    reaper = Reaper(settings)
    ledger, rates, blobs = AsyncLedger(settings), Rates(settings), open_store(settings)
    app.state.services = services = Services(
        settings,
        ledger,
        blobs,
        BlobProbe(blobs),
        PromptDoorbell(settings),
        Door(settings, ledger, rates),
        Watchers(settings.max_streams, settings.max_streams_each),
    )
    await services.door.warn()
    reaper.start()
    document = asyncio.create_task(_prepare(app))
    try:
        yield
    finally:
        await asyncio.to_thread(reaper.stop)
        await asyncio.to_thread(services.doorbell.close)
        await rates.close()
        await ledger.close()
        document.cancel()


async def _prepare(app: FastAPI) -> None:
    """Have OpenAPI's document ready before somebody asks: it takes up to a second, and not of the first callers."""
    await asyncio.sleep(QUIET_SECONDS)
    await asyncio.to_thread(app.openapi)


async def _services(request: Request) -> Services:  # not a plain function: FastAPI runs those in a thread
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _tenant(request: Request, services: ServicesDep, credentials: CredentialsDep) -> str:
    caller = request.state.caller = await services.door.caller(credentials, _address(request))
    with telling(request.scope) as tell:
        tell(await services.door.count(caller))
    refuse_unknown(request)
    return caller.tenant


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def count_beyond(request: Request, services: Services, calls: int) -> None:
    """Count a request as so many calls beyond the one that it is; raises `too-many-requests`."""
    with telling(request.scope) as tell:
        tell(await services.door.count(request.state.caller, calls))


async def _operator(services: ServicesDep, credentials: CredentialsDep) -> None:
    await services.door.operator(credentials)


TenantDep = Annotated[str, Depends(_tenant)]
"""The tenant that calls; a route without it is open to everyone and stands in `callers.OPEN`."""
OperatorDep = Annotated[None, Depends(_operator)]
