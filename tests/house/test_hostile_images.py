"""Hostile and odd images through a real house: the right verdict, or a measurement all the same."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tests.house.conftest import PATIENCE, House

SIDE = 24
LAYERS = [{"type": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1}]
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bits(side: int) -> bytes:
    """A PNG of side² pixels, one bit each: 400 million pixels are 50 kB."""
    row = b"\0" * (1 + (side + 7) // 8)
    deflate = zlib.compressobj(9)
    pixels = b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def colours() -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (30, 40, 3), dtype=np.uint8))


def text_bomb() -> bytes:
    """Text that inflates to 200 MB from 200 kB."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 200_000_000, zip=True)
    return saved(colours(), pnginfo=info)


def sixteen_bits() -> bytes:
    return saved(Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30) * 70))


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(colours(), "JPEG", exif=exif)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "20,000 x 20,000": (lambda: bits(20_000), "image-too-large"),
    "truncated": (lambda: saved(colours())[:300], "invalid-image"),
    "text bomb": (text_bomb, "invalid-image"),
    "a signature and noise": (lambda: SIGNATURE + bytes(range(256)), "invalid-image"),
    "a zip of nothing": (lambda: b"PK\x03\x04" + b"\0" * 100, "invalid-image"),
}
TAKEN: dict[str, Callable[[], bytes]] = {
    "16 bits": sixteen_bits,
    "CMYK": lambda: saved(colours().convert("CMYK"), "JPEG"),
    "turned by EXIF": rotated,
}


@pytest.fixture(scope="module")
def http(house: House) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=house.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


def ended(http: httpx2.Client, data: bytes, name: str = "image") -> dict[str, Any]:
    """The job over one image, once it has ended."""
    named = f'attachment; filename="{name}"'.encode()
    stored = http.post("/files", content=data, headers=[(b"Content-Disposition", named)])
    assert stored.status_code == 201, stored.text
    spec = {"name": "images", "input": {"channels": 3, "size": [SIDE, SIDE]}, "layers": LAYERS}
    asked = {"model": {"architecture": spec}, "input": {"source": "images", "images": stored.json()["sha256"]}}
    accepted = http.post("/erf", json=asked)
    assert accepted.status_code == 202, accepted.text
    while True:
        job: dict[str, Any] = http.get(accepted.headers["Location"], headers={"Prefer": "wait=30"}).json()
        if job["status"] not in ("queued", "running"):
            return job


@pytest.mark.parametrize("case", REFUSED)
def test_an_image_that_is_none_or_too_much_is_a_verdict(http: httpx2.Client, case: str) -> None:
    make, kind = REFUSED[case]
    job = ended(http, make())
    assert job["status"] == "failed"
    assert job["error"]["type"] == f"/problems/{kind}", job["error"]
    assert job["attempt"] == 1, "a verdict, not a death"
    assert ended(http, saved(colours().rotate(len(case))))["status"] == "succeeded", "a good one after it"


@pytest.mark.parametrize("case", TAKEN)
def test_an_odd_image_is_measured(http: httpx2.Client, case: str) -> None:
    job = ended(http, TAKEN[case]())
    assert job["status"] == "succeeded", job["error"]
    assert job["result"]["samples"]["used"] >= 1


def test_a_hostile_file_name_changes_nothing(http: httpx2.Client) -> None:
    job = ended(http, saved(colours().rotate(90)), name="../../etc/x\u202egnp.exe")
    assert job["status"] == "succeeded", job["error"]
