"""A worker whose blob store is far away: each file is longer on its way than a lease."""

import sys
import time
from typing import Any

import fsspec  # type: ignore[import-untyped, unused-ignore]  # no types
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped, unused-ignore]  # no types

from erfscope_worker.__main__ import main

SECONDS = 2.5


class Far(LocalFileSystem):  # type: ignore[misc, unused-ignore]  # no types
    """Files of this machine, slowly."""

    protocol = "far"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("far://")))

    def get_file(self, *arguments: Any, **options: Any) -> None:
        time.sleep(SECONDS)
        super().get_file(*arguments, **options)

    def put_file(self, *arguments: Any, **options: Any) -> None:
        time.sleep(SECONDS)
        super().put_file(*arguments, **options)


fsspec.register_implementation("far", Far)

if __name__ == "__main__":
    sys.exit(main())
