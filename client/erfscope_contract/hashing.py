"""sha256 in lower-case hexadecimal, the name of everything that is known by its content."""

import hashlib
from pathlib import Path


def sha256_of(content: bytes | str | Path) -> str:
    """Of bytes, of a text in UTF-8, or of a file, which is read in pieces."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()
