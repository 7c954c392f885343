"""What the endpoints stand on, opened once per process and handed to each of them."""

import asyncio
from collections.abc import AsyncIterator
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
from erfscope_service.queries import refuse_unknown
from erfscope_service.settings import ServiceSettings
from erfscope_service.watchers import Watchers


@dataclass(frozen=True)
class Services:
    """The ledger, the blobs, the doorbell, the door; `stopping` is set when the server begins to shut down."""

    settings: ServiceSettings
    ledger: AsyncLedger
    blobs: BlobStore
    doorbell: PromptDoorbell
    door: Door
    watchers: Watchers
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the services, run this replica's reaper, close everything."""
    settings: ServiceSettings = app.state.settings
    reaper = Reaper(settings)
    ledger, rates = AsyncLedger(settings), Rates(settings, settings.rates)
    app.state.services = services = Services(
        settings,
        ledger,
        open_store(settings),
        PromptDoorbell(settings),
        Door(settings, ledger, rates),
        Watchers(settings.max_streams),
    )
    await services.door.warn()
    reaper.start()
    try:
        yield
    finally:
        await asyncio.to_thread(reaper.stop)
        await asyncio.to_thread(services.doorbell.close)
        await rates.close()
        await ledger.close()


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _tenant(request: Request, services: ServicesDep, credentials: CredentialsDep) -> str:
    tenant = await services.door.tenant(credentials, request.client.host if request.client else "")
    refuse_unknown(request)
    return tenant


async def _operator(services: ServicesDep, credentials: CredentialsDep) -> None:
    await services.door.operator(credentials)


TenantDep = Annotated[str, Depends(_tenant)]
"""The tenant that calls; a route without it is open to everyone and stands in `callers.OPEN`."""
OperatorDep = Annotated[None, Depends(_operator)]
