"""Which jobs are one series: a value per series, which says what was asked; its state is that of its jobs."""

from erfscope_jobs import replies
from erfscope_jobs.call import Call, scripted
from erfscope_jobs.operations import page_token
from erfscope_jobs.partitions import partition_of, space_of
from erfscope_jobs.records import SeriesPage
from erfscope_jobs.settings import Settings

GRACE = 60.0  # seconds that a series outlives the last of its jobs


def remember(settings: Settings, tenant: str, id: str, payload: str) -> Call[bool]:
    """Store a new series; False, and nothing is written, where there is one of this id."""
    named = {"tenant": tenant, "id": id, "ttl": _life(settings)}
    return scripted("remember_series", _space(settings, tenant), named, bool, payload.encode())


def listing(settings: Settings, tenant: str, size: int, token: str | None) -> Call[SeriesPage]:
    """A page of a tenant's series, newest first."""
    named = {"tenant": tenant, "size": size, "before": page_token(token)}
    return scripted("list_series", _space(settings, tenant), named, replies.series_page)


def forget(settings: Settings, tenant: str, id: str) -> Call[bool]:
    """Forget a series, and none of its jobs; whether there was one."""
    return scripted("forget_series", _space(settings, tenant), {"tenant": tenant, "id": id}, bool)


def recall(settings: Settings, tenant: str, id: str) -> Call[str | None]:
    """What `remember` stored; None when unknown, gone, or another tenant's."""
    named = {"tenant": tenant, "id": id, "ttl": _life(settings)}
    return scripted("recall_series", _space(settings, tenant), named, lambda reply: reply.decode() if reply else None)


def _space(settings: Settings, tenant: str) -> str:
    return space_of(settings, partition_of(settings, tenant))


def _life(settings: Settings) -> int:
    return int(1000 * (settings.result_ttl + settings.job_deadline + GRACE))
