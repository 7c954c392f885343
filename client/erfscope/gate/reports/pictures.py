"""The heatmaps of a run as PNG files."""

import re
from pathlib import Path

from erfscope.gate.findings import Picture, Report

LONGEST = 60  # letters of a name; the digest keeps names apart


def write(report: Report, folder: Path) -> list[Path]:
    """One file per measurement, named by model, layer and the start of the question's digest."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(picture, folder) for picture in report.pictures]


def _write(picture: Picture, folder: Path) -> Path:
    words = (_slug(Path(picture.model).stem if "/" in picture.model else picture.model), _slug(picture.layer))
    path = folder / f"{'-'.join((*words, picture.digest[:8]))}.png"
    path.write_bytes(picture.content)
    return path


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:LONGEST] or "x"
