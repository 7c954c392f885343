"""`erfscope serve`: a thin start of the service's own module."""

from typing import Annotated

import typer

from erfscope.cli.starting import DataDir, RedisUrl, start


def serve(
    redis_url: RedisUrl = None,
    host: Annotated[
        str | None, typer.Option(envvar="ERFSCOPE_HOST", help="Address to listen on (default: 127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None, typer.Option(envvar="ERFSCOPE_PORT", help="TCP port to listen on (default: 8000).")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Run the HTTP service alone, against a Redis of your own. `erfscope up` runs everything at once.

    All other settings are ERFSCOPE_* variables.
    """
    start("erfscope_service", redis_url, {"ERFSCOPE_HOST": host, "ERFSCOPE_PORT": port, "ERFSCOPE_DATA_DIR": data_dir})
