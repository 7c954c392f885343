"""`erfscope jobs`."""

from itertools import islice
from typing import Annotated

import typer

from erfscope._client import Client
from erfscope.cli import options, show


def jobs(
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many.")] = 20,
    as_json: options.AsJson = False,
    url: Annotated[str | None, typer.Option(envvar="ERFSCOPE_URL", help="The service.")] = None,
    api_key: options.ApiKey = None,
) -> None:
    """List a service's jobs, newest first."""
    with Client(url, api_key=api_key) as client:
        found = [handle.job for handle in islice(client.jobs(page_size=min(limit, 100)), limit)]
    if as_json:
        print("[" + ",\n".join(job.model_dump_json(by_alias=True) for job in found) + "]")
        return
    show.console().print(show.job_table(found) if found else "no jobs")
