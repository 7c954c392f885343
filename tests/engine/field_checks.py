"""The field of every program: what is read on the image, and the TRF on a larger canvas, at borders, at two sizes."""

from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.engine.oracle import Box, Pick, box_on_canvas, hull, support, unit_of
from tests.engine.programs import Program
from tests.engine.steps.step import EDGES, FIXED, GLOBAL, HOLES, LOPSIDED, SIZED
from tests.engine.verdicts import CheckError, Tally, refused

from erfscope_contract.problem import ProblemError
from erfscope_engine import layers_of, measure, receptive_field


class Way(Enum):
    """How a unit is named: by its place along the layer's axes of space, or by its full index with the channel."""

    UNIT = "unit"
    INDEX = "index"


@dataclass(frozen=True)
class Known:
    """What the engine says of a unit's field."""

    box: Box
    seen: Box | None
    center: list[float]
    causal: bool


def way_of(program: Program) -> Way:
    """By its place, unless an axis was mixed or put in another order, so that its index is no place on the image."""
    try:
        layers = layers_of(program.module, program.shape)
    except ProblemError as error:
        if error.kind not in ("no-spatial-layer", "no-gradient"):
            raise refused(error) from error
        layers = ()
    except Exception as error:
        raise refused(error) from error
    grid = next((layer.grid for layer in layers if layer.name == "output"), None)
    if grid == program.grid:
        return Way.UNIT
    if program.has(GLOBAL, HOLES, SIZED, FIXED):
        return Way.INDEX
    raise CheckError("refused", f"the output's grid is {grid}, and its axes of space are {program.grid}")


def fields(program: Program, way: Way, random: Random, tally: Tally) -> None:
    """Check units at the centre, at borders and elsewhere, on the image and on a larger one; raises CheckError."""
    for unit in program.units(random):
        _unit(program, way, unit, tally)
    if not program.has(FIXED):
        larger = program.larger()
        for unit in larger.units(random)[:2]:
            _unit(larger, way, unit, tally)


def field_of(program: Program, way: Way, unit: tuple[int, ...], channel: int = 0) -> Known | None:
    """The field of a unit (by index: of one channel); None where the engine says that it has none."""
    try:
        if way is Way.UNIT:
            field = receptive_field(program.module, program.shape, layer="output", unit=unit)
            seen = None if field.seen is None else list(field.seen)
            return Known(list(field.box), seen, list(field.center), field.causal)
        target = {"layer": "output", "unit": {"index": [channel, *unit]}}
        trf = measure(program.module, program.shape, target=target, inputs=1, dtype="float64").result.trf
        return Known(trf.box, trf.seen, trf.center, trf.causal)
    except ProblemError as error:
        if error.kind == "no-gradient":
            return None
        raise refused(error) from error
    except Exception as error:
        raise refused(error) from error


def _pick(way: Way, unit: tuple[int, ...]) -> Pick:
    return unit_of(unit, channels=[0] if way is Way.INDEX else None)


def _unit(program: Program, way: Way, unit: tuple[int, ...], tally: Tally) -> None:
    reached = hull(support(program.module, program.shape, _pick(way, unit)))
    known = field_of(program, way, unit)
    if known is None:
        if reached is not None and way is Way.UNIT:
            raise CheckError("refused", f"no gradient, where the support is {reached}, unit {unit} on {program.shape}")
        return
    where = f"unit {unit} on {program.shape}"
    _holds_support(known, reached, where)
    if not program.has(GLOBAL, HOLES) and known.seen != reached:
        raise CheckError("wide", f"seen {known.seen}, support {reached}, {where}")
    tally.exact += known.seen == reached
    tally.wide += known.seen != reached
    if way is Way.UNIT and not program.has(GLOBAL, SIZED, FIXED):
        _on_canvas(program, unit, known, reached, tally)


def _holds_support(known: Known, reached: Box | None, where: str) -> None:
    if reached is None:
        return
    if known.seen is None or not _inside(reached, known.seen) or not _inside(reached, known.box):
        raise CheckError("narrow", f"seen {known.seen}, box {known.box}, support {reached}, {where}")


def _on_canvas(program: Program, unit: tuple[int, ...], known: Known, reached: Box | None, tally: Tally) -> None:
    truth = box_on_canvas(
        program.module, program.shape, lambda margin: program.pick_at(unit, margin), program.position.grain
    )
    if truth is None or (program.has(EDGES) and truth != reached):
        return  # it reads nothing; or the border has a part in what it reads
    tally.canvases += 1
    where = f"unit {unit} on {program.shape}"
    if not _inside(truth, known.box):
        raise CheckError("narrow", f"box {known.box}, support on a larger canvas {truth}, {where}")
    if program.leaves_holes:
        return
    if known.box != truth:
        raise CheckError("wide", f"box {known.box}, support on a larger canvas {truth}, {where}")
    middle = [(lo + hi - 1) / 2 for lo, hi in truth]
    if not program.has(LOPSIDED) and not known.causal and known.center != middle:
        raise CheckError("center", f"centre {known.center}, the middle of what is read is {middle}, {where}")


def _inside(inner: Box, outer: Box) -> bool:
    return all(a <= lo and hi <= b for (lo, hi), (a, b) in zip(inner, outer, strict=True))
