"""Run the service: uvicorn with bounds, and a shutdown that long-lived streams hear of at once."""

import math
import resource
import socket
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from erfscope_contract.problem import ProblemError
from erfscope_jobs import log
from erfscope_jobs.blobs import BlobStore
from erfscope_service.app import create_app
from erfscope_service.edge.connections import Connections, fitting, raise_descriptor_limit
from erfscope_service.edge.punctual import MAX_HEADER_BYTES, punctual
from erfscope_service.services import Services
from erfscope_service.settings import ServiceSettings

IDLE_SECONDS = 10


class Server(uvicorn.Server):
    """Tells event streams and long polls to end before it waits for open requests."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop taking connections, let the open ones end, close."""
        app = self.config.app
        services: Services | None = getattr(app.state, "services", None) if isinstance(app, FastAPI) else None
        if services is not None:
            services.stopping.set()
        await super().shutdown(sockets)


def server(settings: ServiceSettings, host: str, port: int) -> Server:
    """A server that is ready to run; `started` says when it listens."""
    return Server(
        uvicorn.Config(
            create_app(settings),
            host=host,
            port=port,
            http=punctual(settings.patience_seconds, connections(settings)),
            ws="none",
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
            server_header=False,
            # By default uvicorn believes whoever connects from this machine, and FORWARDED_ALLOW_IPS.
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=settings.proxies,
            log_config=None,
            access_log=False,  # edge/telemetry.py has lines of our own
        )
    )


def connections(settings: ServiceSettings) -> Connections:
    """The bounds of this replica; by default as many as its descriptors allow, and half of them for an address."""
    most = settings.max_connections or fitting(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return Connections(most, settings.max_connections_each or max(most // 2, 1), settings.proxies)


def serve(settings: ServiceSettings, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGINT or SIGTERM."""
    log.configure(settings.log)
    raise_descriptor_limit()
    host, port = host or settings.host, settings.port if port is None else port
    try:
        BlobStore(settings.blobs)
    except ProblemError as error:
        raise SystemExit(f"the service cannot start: {error.problem.detail}") from None
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal again once everything is closed
        server(settings.model_copy(update={"host": host, "port": port}), host, port).run()
