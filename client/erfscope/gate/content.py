"""The identity of files: their sha256."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
