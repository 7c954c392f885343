"""Several models measured under one request, here or by a service."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from erfscope import _local
from erfscope._client import Client
from erfscope._models import Prepared
from erfscope._request import build
from erfscope._result import Result

Progress = Callable[[str, float], None]


def measure_all(
    models: Sequence[Prepared], fields: Mapping[str, Any], client: Client | None, progress: Progress
) -> list[Result]:
    """One result per model, in order."""
    if client is None:
        request = build(None, fields)
        return [
            _local.measure(model, request, None, partial(_part, progress, n, len(models)))
            for n, model in enumerate(models)
        ]
    jobs = [
        client.submit(model.ref if model.content is None else model.content.source, **fields) for model in models
    ]  # all are at work before the first is waited for
    return [job.result(progress=partial(_part, progress, n, len(jobs))) for n, job in enumerate(jobs)]


def _part(progress: Progress, n: int, of: int, stage: str, share: float) -> None:
    progress(stage, (n + share) / of)
