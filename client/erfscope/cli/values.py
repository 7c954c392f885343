"""Values of the commands' options, from the text that people type; a refusal names the option and an example."""

import re
from collections.abc import Callable, Sequence
from math import inf, isfinite
from pathlib import Path
from typing import Any

from erfscope._errors import refuse
from erfscope_contract.lengths import MILLIMETRES, Lengths, lengths_of, mean_of, spacing_of
from erfscope_contract.numbers import digits

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "min": 60.0}
MOST_DIGITS = 18  # of a whole number: more than any size, and an int of 64 bits holds it
LONGEST = 60  # characters of a refused text that its error shows
LENGTH = re.compile(rf"(\d+(?:\.\d*)?|\.\d+)\s*({'|'.join((*SECONDS, *MILLIMETRES))})?")
SIDES = (
    "a whole number of pixels, samples or voxels such as 512, or one for each axis such as 512,384; with a unit it is "
    "a time such as 1s (with --rate) or a length such as 20mm (with --spacing)"
)


def integers(text: str, option: str, wanted: str = "a list of whole numbers such as 3,224,224") -> list[int]:
    """Integers separated by commas or x: `3,224,224`, `3x224x224`."""
    parts = re.split(r"[,x]", text.strip())
    if not all(_is_whole(part.strip()) for part in parts):
        raise refuse("bad-request", f"{option} {text[:LONGEST]!r} is not {wanted}")
    return [int(part) for part in parts]


def _is_whole(text: str) -> bool:
    """Whether a text is a whole number of at most MOST_DIGITS digits: of thousands Python makes no number."""
    return text.isdecimal() and len(text) <= MOST_DIGITS


def numbers(text: str, option: str, example: str = "a list of numbers such as 0.485,0.456") -> list[float]:
    """Numbers separated by commas: `0.485,0.456,0.406`."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise refuse("bad-request", f"{option} {text!r} is not {example}") from None


def sizes(text: str, rate: float | None, spacing: str | None) -> list[float]:
    """Sizes of objects in steps of the input: `32,96`, `0.5s` or `20ms` with a rate, `12mm` with a spacing."""
    return [size(part.strip(), "--object", rate, spacing) for part in text.split(",")]


def sides(
    text: str, option: str, rate: float | None, spacing: str | None, whole: Callable[[float], int] = round
) -> int | list[int]:
    """Whole steps of the input, along each axis or one number for all: `512`, `80,512`, `1s`, `20mm,10mm,10mm`.

    `whole` makes whole steps of a length that has a unit.
    """
    parts = [part.strip() for part in re.split("[,x]", text)]
    if not all(_is_whole(part) or (LENGTH.fullmatch(part) and not part[-1].isdecimal()) for part in parts):
        raise refuse("bad-request", f"{option} {text[:LONGEST]!r} is not {SIDES}")
    if len(parts) == 1 and parts[0].isdecimal():
        return int(parts[0])
    each = [None] if spacing is None else [str(step) for step in steps(spacing)]
    rank = max(len(parts), len(each))
    if {len(parts), len(each)} - {1, rank}:
        raise refuse("bad-request", f"{option} {text} has {len(parts)} sizes, and --spacing {spacing} has {len(each)}")
    lengths = [
        size(part, option, rate, step)
        for part, step in zip(parts * (rank // len(parts)), each * (rank // len(each)), strict=True)
    ]
    if not all(map(isfinite, lengths)):
        raise refuse("bad-request", f"{option} {text} is too large")
    steps_along = [whole(length) for length in lengths]
    return steps_along[0] if rank == 1 else steps_along


def size(text: str, option: str, rate: float | None, spacing: str | None) -> float:
    """One length in steps of the input."""
    matched = LENGTH.fullmatch(text)
    if matched is None:
        raise refuse("bad-request", f"{option} {text!r} is not sizes in pixels such as 32,96, 0.5s, 20ms or 12mm")
    number, unit = float(matched[1]), matched[2]
    if unit in SECONDS:
        if rate is None:
            raise refuse("bad-request", f"{option} {text} is a time; give --rate, the samples per second, as well")
        if not 0 < rate < inf:
            raise refuse("bad-request", f"--rate {rate:g} must be above 0")
        return float(f"{number * SECONDS[unit] * rate:.12g}")
    if unit in MILLIMETRES:
        if spacing is None:
            raise refuse(
                "bad-request", f"{option} {text} is a length; give --spacing, the size of a pixel or voxel, as well"
            )
        return float(f"{number * MILLIMETRES[unit] / mean_of(steps(spacing)):.12g}")
    if 0 < number < 1:
        raise refuse(
            "bad-request",
            f"{option} {text} is less than one pixel or sample; with a unit it is {text}s (with --rate) or {text}mm "
            "(with --spacing)",
        )
    return number


def typed(size: float, lengths: Lengths) -> str:
    """A size of the input as one would type it in the unit of `lengths`: `32`, `0.5s`."""
    unit = lengths.unit if lengths.unit in (*SECONDS, *MILLIMETRES) else ""
    return f"{digits(size * lengths.mean, 10)}{unit}"


def steps(spacing: str) -> list[float]:
    """Millimetres of a step along each axis, or one number for all: `2,0.7,0.7`, `0.3m`."""
    try:
        sides, unit = spacing_of(spacing, dashes="--")
    except ValueError as error:
        raise refuse("bad-request", str(error)) from None
    return [float(f"{side * MILLIMETRES[unit]:.12g}") for side in sides]


def times(spacing: str, factor: int) -> str:
    """A spacing of steps so many times as large, as one would type it: `0.9m`."""
    sides, unit = spacing_of(spacing)
    return ",".join(f"{digits(side * factor, 10)}{unit}" for side in sides)


def lengths(rate: float | None, spacing: str | None, rank: int) -> Lengths | None:
    """The unit in which lengths are shown; None for the input's own."""
    try:
        return lengths_of(rate, spacing, rank, dashes="--")
    except ValueError as error:
        raise refuse("bad-request", str(error)) from None


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
