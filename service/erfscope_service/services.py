"""What the endpoints stand on, opened once per process and handed to each of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from erfscope_jobs.blobs import BlobStore
from erfscope_jobs.queue import Doorbell
from erfscope_jobs.reaper import Reaper
from erfscope_service.ledger import PromptLedger
from erfscope_service.settings import ServiceSettings

TENANT = "public"  # everyone's, until keys give each caller a tenant of its own


@dataclass(frozen=True)
class Services:
    """The ledger, the blobs, the doorbell; `stopping` is set when the server begins to shut down."""

    settings: ServiceSettings
    ledger: PromptLedger
    blobs: BlobStore
    doorbell: Doorbell
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the services, run this replica's reaper, close everything."""
    settings: ServiceSettings = app.state.settings
    reaper = Reaper(settings)
    ledger = PromptLedger(settings)
    app.state.services = Services(settings, ledger, BlobStore(settings.blobs), Doorbell(settings))
    reaper.start()
    try:
        yield
    finally:
        await asyncio.to_thread(reaper.stop)
        await asyncio.to_thread(app.state.services.doorbell.close)
        await ledger.close()


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _tenant() -> str:
    return TENANT


ServicesDep = Annotated[Services, Depends(_services)]
TenantDep = Annotated[str, Depends(_tenant)]
