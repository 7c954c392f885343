"""Who calls: the key in the Authorization header, its tenant, and whether it has called too often."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItem

from erfscope_contract.problem import ProblemError
from erfscope_jobs import key_log, keys, log
from erfscope_jobs.aio import AsyncLedger
from erfscope_jobs.keys import PUBLIC, ApiKey, Scope
from erfscope_jobs.rates import Allowance, Rates, parse
from erfscope_service.settings import ServiceSettings

_log = logging.getLogger(__name__)

OPEN = frozenset({"/health/live", "/health/ready", "/schemas/{name}", "/problems", "/problems/{kind}"})
"""Routes of the interface that need no key, for load balancers and editors: they tell nothing of any tenant."""

SEND = {
    Scope.JOBS: "Send an API key: 'Authorization: Bearer erf_…' (ERFSCOPE_API_KEY)",
    Scope.METRICS: "Send an API key for metrics, which is of a kind of its own: 'Authorization: Bearer erf_…'",
}
MAKE = {Scope.JOBS: "erfscope keys create NAME", Scope.METRICS: "erfscope keys create NAME --metrics"}
MADE = "Whoever runs this service makes one: {}"

_bearer = HTTPBearer(
    scheme_name="ApiKey",
    description="A key of `erfscope keys create NAME`; a service on a loopback address needs none.",
    auto_error=False,  # our 401 is a problem like any other
)
CredentialsDep = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


@dataclass(frozen=True)
class Caller:
    """Who calls: the tenant, by which name its calls are counted, and against which limits."""

    tenant: str
    counted_as: str
    limits: Sequence[RateLimitItem]


@dataclass(frozen=True)
class Door:
    """Lets callers in by their key; nothing of a request is read before."""

    settings: ServiceSettings
    ledger: AsyncLedger
    rates: Rates
    _noted: dict[str, float] = field(default_factory=dict)  # key id → when its last use was written

    async def caller(self, credentials: HTTPAuthorizationCredentials | None, address: str) -> Caller:
        """Who calls: by a key with a rate of its own, by another key of a tenant, or by address without keys.

        Raises:
            ProblemError: `unauthorized`, `forbidden`.
        """
        key = await self._key(credentials, Scope.JOBS)
        tenant = key.tenant if key else PUBLIC
        log.note(tenant=tenant)
        if key and key.rate:
            return Caller(tenant, f"key/{key.id}", parse(key.rate))
        return Caller(tenant, f"tenant/{tenant}" if key else f"address/{address}", self.settings.rates)

    async def count(self, caller: Caller, beyond: int = 0) -> Allowance | None:
        """Count a call, or what it is worth beyond that, and tell what is left of the caller's limit.

        Raises:
            ProblemError: `too-many-requests`.
        """
        return await self.rates.admit(caller.counted_as, caller.limits, beyond)

    async def operator(self, credentials: HTTPAuthorizationCredentials | None) -> None:
        """Pass whoever may read the figures of the installation; raises `unauthorized` or `forbidden` for others."""
        await self._key(credentials, Scope.METRICS)

    async def still_open(self, credentials: HTTPAuthorizationCredentials | None) -> None:
        """Pass whoever was let in before and still would be; nothing is counted. Raises `unauthorized`."""
        await self._key(credentials, Scope.JOBS)

    async def warn(self) -> None:
        """Say in the log, at the start, where nobody or everybody gets in."""
        settings, has_keys = self.settings, None
        with suppress(ProblemError):  # Redis is not there yet
            all_keys = await self.ledger.run(keys.every(settings.namespace))
            has_keys = bool(all_keys)
        if settings.needs_keys and has_keys is False:
            _log.warning("callers need an API key and there is none; make one: erfscope keys create NAME")
        if not settings.needs_keys and has_keys:
            _log.warning("there are API keys and none is asked for: all callers are one; set ERFSCOPE_KEYS=on")
        if not settings.needs_keys and not settings.is_for_this_machine:
            _log.warning("no keys are asked for (ERFSCOPE_KEYS): whoever reaches %s may use this", settings.host)

    async def _key(self, credentials: HTTPAuthorizationCredentials | None, scope: Scope) -> ApiKey | None:
        """The caller's key; None where none is needed."""
        if not self.settings.needs_keys:
            return None
        if credentials is None:
            raise ProblemError("unauthorized", f"{SEND[scope]}. {MADE.format(MAKE[scope])}")
        parts = keys.split(credentials.credentials)
        if parts:
            log.note(key=parts[0])  # of a refused call, the id that it names: a revoked key that is still in use shows
        key = await self.ledger.run(keys.find(self.settings.namespace, parts[0])) if parts else None
        if parts is None or key is None or not key.opens_with(parts[1]):
            raise ProblemError("unauthorized", f"The API key is unknown or revoked. {MADE.format(MAKE[scope])}")
        if key.scope is not scope:
            needed = f"This API key is for {key.scope}; here one for {scope} is needed."
            raise ProblemError("forbidden", f"{needed} {MADE.format(MAKE[scope])}")
        await self._note_use(key.id)
        return key

    async def _note_use(self, id: str) -> None:
        """Write the time of a key's use, now and then; a store that is full refuses no call for that."""
        now = time.monotonic()
        if now - self._noted.get(id, -key_log.USE_SECONDS) >= key_log.USE_SECONDS:
            self._noted[id] = now
            with suppress(ProblemError):
                await self.ledger.run(key_log.used(self.settings.namespace, id))
