"""Values of the commands' options, from the text that people type; a refusal names the option and an example."""

import re
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

from erfscope._errors import refuse
from erfscope_contract.lengths import Lengths

PER_INCH = {"in": 1.0, "cm": 2.54, "mm": 25.4}


def integers(text: str, option: str, wanted: str = "a list of whole numbers such as 3,224,224") -> list[int]:
    """Integers separated by commas or x: `3,224,224`, `3x224x224`."""
    parts = re.split(r"[,x]", text.strip())
    if not all(part.strip().isdecimal() for part in parts):
        raise refuse("bad-request", f"{option} {text!r} is not {wanted}")
    return [int(part) for part in parts]


def numbers(text: str, option: str, example: str = "a list of numbers such as 0.485,0.456") -> list[float]:
    """Numbers separated by commas: `0.485,0.456,0.406`."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise refuse("bad-request", f"{option} {text!r} is not {example}") from None


def sizes(text: str, rate: float | None, spacing: str | None) -> list[float]:
    """Sizes of objects in steps of the input: `32,96`, `0.5s` with a rate, `12mm` with a spacing."""
    return [_size(part.strip(), rate, spacing) for part in text.split(",")]


def _size(text: str, rate: float | None, spacing: str | None) -> float:
    matched = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|mm)?", text)
    if matched is None:
        raise refuse("bad-request", f"--object {text!r} is not sizes in pixels such as 32,96, 0.5s or 12mm")
    size, unit = float(matched[1]), matched[2]
    if unit == "s":
        if rate is None:
            raise refuse("bad-request", f"--object {text} is in seconds; give --rate, the samples per second, as well")
        if not 0 < rate < inf:
            raise refuse("bad-request", f"--rate {rate:g} must be above 0")
        return size * rate
    if unit == "mm":
        if spacing is None:
            raise refuse("bad-request", f"--object {text} is in millimetres; give --spacing, those of a step, as well")
        steps = _steps(spacing)
        return size / (sum(steps) / len(steps))
    if 0 < size < 1:
        raise refuse(
            "bad-request",
            f"--object {text} is less than one pixel or sample; with a unit it is {text}s (with --rate) or {text}mm "
            "(with --spacing)",
        )
    return size


def _steps(spacing: str) -> list[float]:
    steps = numbers(spacing, "--spacing", "a list of sizes in mm such as 2,0.7,0.7")
    if not all(0 < step < inf for step in steps):
        raise refuse(
            "bad-request", f"--spacing {spacing!r} must have sizes above 0, one for all axes or one for each axis"
        )
    return steps


def width(text: str) -> float:
    """A length in inches: `3.25`, `3.25in`, `8.5cm`, `85mm`."""
    matched = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(in|cm|mm)?\s*", text)
    if matched is None:
        raise refuse("bad-request", f"--width {text!r} is not a length such as 3.25in or 8.5cm")
    return float(matched[1]) / PER_INCH[matched[2] or "in"]


def lengths(rate: float | None, spacing: str | None, rank: int) -> Lengths | None:
    """The unit in which lengths are shown; None for the input's own."""
    if rate is not None and spacing is not None:
        raise refuse("bad-request", "--rate and --spacing both say what a step of the input is; give one of them")
    if rate is not None:
        if rank != 1 or not rate > 0:
            raise refuse("bad-request", f"--rate {rate:g} is for inputs with one axis, and above 0; this has {rank}")
        return Lengths((1 / rate,), "s")
    if spacing is None:
        return None
    steps = _steps(spacing)
    if len(steps) not in (1, rank):
        raise refuse("bad-request", f"--spacing {spacing!r} must have one size above 0, or {rank}: one for each axis")
    return Lengths(tuple(steps * rank if len(steps) == 1 else steps), "mm")


def input_fields(
    shape: str | None, name: str | None, mean: str | None = None, std: str | None = None
) -> dict[str, Any] | None:
    """The `input` of a question about a model; None where nothing of it was asked for."""
    fields = {
        "shape": integers(shape, "--shape") if shape else None, "name": name,
        "mean": numbers(mean, "--mean") if mean else None, "std": numbers(std, "--std") if std else None,
    }  # fmt: skip
    chosen = {field: value for field, value in fields.items() if value is not None}
    return chosen or None


def check_output(path: Path, forms: Sequence[str], option: str = "-o") -> None:
    """Before anything is measured: whether a file of this name can be written, and in which form."""
    if path.suffix.lower() not in forms:
        raise refuse("bad-request", f"{option} {path}: the ending must be one of {', '.join(forms)}")
    if not path.parent.is_dir():
        raise refuse("not-found", f"{option} {path}: {path.parent} is not a folder; make it first")
    if path.is_dir():
        raise refuse("bad-request", f"{option} {path} is a folder; give the name of a file")


def unit(text: str) -> Any:
    """`center`, an index `7,7`, or a grid `grid:3x3`."""
    if text == "center":
        return text
    if text.startswith("grid:"):
        return {"grid": integers(text.removeprefix("grid:"), "--unit grid:", "rows and columns such as 3x3")}
    return integers(text, "--unit", "center, an index such as 7,7, or a grid such as grid:3x3")


def index(text: str) -> Any:
    """A full index `3,7,7`."""
    return {"index": integers(text, "--index", "a full index such as 3,7,7")}


_CHANNELS = "auto, sum, random, or a list of channels such as 0,5"


def channels(text: str) -> Any:
    """`auto`, `sum`, `random`, or a list `0,5`."""
    return text if text in ("auto", "sum", "random") else integers(text, "--channels", _CHANNELS)
