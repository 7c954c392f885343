"""Which jobs are one series: a value per series, which says what was asked; its state is that of its jobs."""

from erfscope_jobs.call import Call, plain
from erfscope_jobs.settings import Settings

GRACE = 60.0  # seconds that a series outlives the last of its jobs


def remember(settings: Settings, tenant: str, id: str, payload: str) -> Call[bool]:
    """Store a new series; False, and nothing is written, where there is one of this id."""
    life = int(1000 * (settings.result_ttl + settings.job_deadline + GRACE))
    return plain(bool, "SET", _key(settings, tenant, id), payload, "PX", life, "NX")


def recall(settings: Settings, tenant: str, id: str) -> Call[str | None]:
    """What `remember` stored; None when unknown, gone, or another tenant's."""
    return plain(lambda reply: reply.decode() if reply else None, "GET", _key(settings, tenant, id))


def forget(settings: Settings, tenant: str, id: str) -> Call[bool]:
    """Remove a series, not its jobs; whether there was one."""
    return plain(bool, "DEL", _key(settings, tenant, id))


def _key(settings: Settings, tenant: str, id: str) -> str:
    return f"{settings.namespace}:series:{tenant}:{id}"
