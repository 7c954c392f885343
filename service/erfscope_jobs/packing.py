"""Texts as Redis keeps them: compressed, for a spec repeats itself, and a result its names.

A spec of ResNet-50 takes 17 kB as JSON and 0.8 kB like this, its result 20 kB and 10 kB.
"""

import zlib

LEVEL = 6


def packed(text: bytes) -> bytes:
    """What is stored for a text."""
    return zlib.compress(text, LEVEL)


def unpacked(stored: bytes) -> bytes:
    """The text again; an empty value is an empty text."""
    return zlib.decompress(stored) if stored else b""
