"""In which unit lengths are read: pixels of images, samples of sound, voxels of volumes, or seconds and metres."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from statistics import geometric_mean

from erfscope_contract.meanings import unit_of
from erfscope_contract.result import ErfResult, Number

KINDS = {1: "signal", 2: "image", 3: "volume"}  # what an input is called
NAMES = {1: "samples", 2: "px", 3: "voxels"}
AXES = "zyx"
MILLIMETRES = {"mm": 1.0, "nm": 1e-6, "um": 1e-3, "µm": 1e-3, "cm": 10.0, "m": 1e3, "km": 1e6}
_WORDS = {
    "px": "pixels", "s": "seconds", "mm": "millimetres", "nm": "nanometres", "um": "micrometres", "µm": "micrometres",
    "cm": "centimetres", "m": "metres", "km": "kilometres",
}  # fmt: skip
_STEP = re.compile(rf"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*({'|'.join(MILLIMETRES)})?\s*")
Spacing = float | str | Sequence[float | str]
_SIDES = ("trf_size", "erf_size", "mass_")  # roots of areas and volumes: they scale by the axes' geometric mean


@dataclass(frozen=True)
class Lengths:
    """What one step along each axis of the input is, and in which unit."""

    steps: tuple[float, ...]
    unit: str

    @property
    def long(self) -> str:
        """The unit in a sentence: `pixels`, `seconds`."""
        return _WORDS.get(self.unit, self.unit)

    @property
    def mean(self) -> float:
        """The geometric mean of the steps."""
        return mean_of(self.steps)

    def step(self, metric: str) -> float | None:
        """What a metric in pixels is multiplied by; None where steps that differ leave no such number."""
        axis = metric.rpartition("_")[2]
        if axis in tuple(AXES[-len(self.steps) :]):
            return self.steps[AXES[-len(self.steps) :].index(axis)]
        if metric.startswith(_SIDES) or len({*self.steps}) == 1:
            return self.mean
        return None


def mean_of(steps: Sequence[float]) -> float:
    """The geometric mean of steps above 0: by logarithms, as the product of small steps is 0 in floating point."""
    return steps[0] if len({*steps}) == 1 else geometric_mean(steps)


def spacing_of(spacing: Spacing, *, dashes: str = "") -> tuple[list[float], str]:
    """Steps along the axes, and their unit: of `2,0.7,0.7` millimetres, of `0.3m` metres; one step is for all axes.

    The unit is the first that is named, and a number without one is in it. ValueError for what is no such step.
    """
    parts = spacing.split(",") if isinstance(spacing, str) else spacing if isinstance(spacing, Sequence) else [spacing]
    matches = [_STEP.fullmatch(str(part)) for part in parts]
    numbers = [(float(one[1]), one[2]) for one in matches if one is not None]
    if not parts or len(numbers) < len(parts) or not all(0 < number < inf for number, _ in numbers):
        raise ValueError(
            f"{dashes}spacing {spacing!r} must be a size above 0, or a list of one for each axis, in millimetres or "
            "with a unit: 0.7, or 2mm,0.7mm,0.7mm, or 0.3m (nm, um, mm, cm, m, km)"
        )
    unit = next((name for _, name in numbers if name), "mm")
    return [number if name in (None, unit) else number * MILLIMETRES[name] / MILLIMETRES[unit]
            for number, name in numbers], unit  # fmt: skip


def lengths_of(rate: float | None, spacing: Spacing | None, rank: int, *, dashes: str = "") -> Lengths | None:
    """Seconds for samples at a rate, the unit of a spacing for its steps; None for the input's own unit.

    `dashes` stand before the names in errors. ValueError for values that do not fit an input of `rank` axes.
    """
    if rate is not None and spacing is not None:
        raise ValueError(f"{dashes}rate and {dashes}spacing both name the step of the input; give one of them")
    if rate is not None:
        if not 0 < rate < inf:
            raise ValueError(f"{dashes}rate {rate:g} must be above 0")
        if rank != 1:
            raise ValueError(
                f"{dashes}rate is the samples per second of a signal, so the input must have one axis; it has {rank}. "
                f"Leave it out, or give {dashes}spacing, the size of a step along each axis"
            )
        return Lengths((1 / rate,), "s")
    if spacing is None:
        return None
    steps, unit = spacing_of(spacing, dashes=dashes)
    if len(steps) not in (1, rank):
        listed = ",".join(f"{step:g}" for step in steps)
        raise ValueError(f"{dashes}spacing {listed} must have one size above 0, or {rank}: one for each axis")
    return Lengths(tuple(steps * rank if len(steps) == 1 else steps), unit)


def pixels_of(rank: int) -> Lengths:
    """The input's own unit: pixels, samples or voxels."""
    return Lengths((1.0,) * rank, NAMES.get(rank, "px"))


def axis_name(number: int, rank: int) -> str:
    """`y` for the first of two spatial axes: as tables and metrics name them."""
    return AXES[-rank:][number]


def rank_of(result: ErfResult) -> int:
    """How many spatial axes the input has."""
    return len(result.trf.size)


def measured_in(metric: str, value: Number, lengths: Lengths) -> tuple[Number, str]:
    """A metric's value and its unit, lengths in the wanted unit; a length that has none stays in the input's own."""
    unit, own = unit_of(metric), NAMES.get(len(lengths.steps), "px")
    if unit == "pixels":
        return value, own if own != "px" else unit
    if unit != "px":
        return value, unit
    step = lengths.step(metric)
    if step is None:
        return value, own
    return None if value is None else value * step, lengths.unit


def sides_in(sides: Sequence[float], lengths: Lengths) -> list[float]:
    """Lengths along each axis; none where no side is known."""
    return [side * step for side, step in zip(sides, lengths.steps, strict=bool(sides))]


def scaled(size: Number, lengths: Lengths) -> Number:
    """The side of an area, or its error, in the wanted unit."""
    return None if size is None else size * lengths.mean
