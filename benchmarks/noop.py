"""A Celery app whose one task does nothing: what a round trip through the same store costs by itself.

Run as `celery -A benchmarks.noop worker` with NOOP_REDIS naming the store in Celery's spelling.
"""

import os

import celery

app = celery.Celery("noop", broker=os.environ["NOOP_REDIS"], backend=os.environ["NOOP_REDIS"])
app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1, task_default_queue="noop")


@app.task(name="noop")  # type: ignore[untyped-decorator, unused-ignore]  # Celery has no types
def noop() -> int:
    """Nothing; its result says that it was done."""
    return 0
