"""What `erfscope fit` proposes next: what to change where no head holds a size, and the level for a new head."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from erfscope.cli import values
from erfscope.cli.asking import flags_of
from erfscope_contract.fit import Fit, FitLevel
from erfscope_contract.holding import UNITS_ACROSS, erf_for, roomy
from erfscope_contract.lengths import Lengths
from erfscope_contract.numbers import digits

NEXT = "What to change so that {name} holds {sizes}: "
NEW_HEAD = "A new head for {sizes}"
HELD = ": put it on level {name}, the one with the smallest ERF that holds {it}."
WIDENED = ": level {name} has the largest ERF of those that are fine enough. To widen it: "


@dataclass(frozen=True)
class Asked:
    """The model as the command line named it, what people call it, and the options that the next command keeps."""

    model: str
    name: str
    options: Mapping[str, Any]
    named: bool  # whether layers were named, so that nothing is known of the others


def to_change(result: Fit, asked: Asked, lengths: Lengths) -> list[str]:
    """For each layer whose field is too small for sizes that nothing holds, the command that asks about all of them."""
    sizes = dict[str, list[float]]()
    for one in result.objects:
        if one.best is None and (name := _to_widen(result, one.size, _counted(result))) is not None:
            sizes.setdefault(name, []).append(one.size)
    return [
        NEXT.format(name=name, sizes=_listed(failed, lengths)) + _command(name, failed, result, asked, lengths)
        for name, failed in sizes.items()
    ]


def _counted(result: Fit) -> list[FitLevel]:
    """Whose rows count."""
    return [level for level in result.levels if not result.deciding or level.name in result.deciding]


def new_heads(result: Fit, asked: Asked, lengths: Lengths) -> list[str]:
    """For sizes that the only deciding head does not hold: the level for a new one, and the command that widens it."""
    inner = [level for level in result.levels if level.role == "level"] if len(result.deciding) == 1 else []
    held, widened = dict[str, list[float]](), dict[str, list[float]]()
    for one in result.objects:
        if one.best is not None or not inner or _is_open(result, one.size):
            continue
        holding = [level.name for level in inner if level.name in one.held_by]
        name = min(holding, key=one.held_by.index) if holding else _to_widen(result, one.size, inner)
        if name is not None:
            (held if holding else widened).setdefault(name, []).append(one.size)
    return [
        *(
            NEW_HEAD.format(sizes=_listed(sizes, lengths)) + HELD.format(name=name, it=_it(sizes))
            for name, sizes in held.items()
        ),
        *(
            NEW_HEAD.format(sizes=_listed(sizes, lengths))
            + WIDENED.format(name=name)
            + _command(name, sizes, result, asked, lengths)
            for name, sizes in widened.items()
        ),
    ]


def _is_open(result: Fit, size: float) -> bool:
    """Whether one of those whose rows count may hold a size."""
    return any(one.size == size and one.verdict == "unsure" for level in _counted(result) for one in level.objects)


def _it(sizes: Sequence[float]) -> str:
    return "it" if len(sizes) == 1 else "them"


def _listed(sizes: Sequence[float], lengths: Lengths) -> str:
    return f"{', '.join(digits(size * lengths.mean) for size in sizes)} {lengths.unit}"


def _command(name: str, sizes: Sequence[float], result: Fit, asked: Asked, lengths: Lengths) -> str:
    """The question about a layer, at an input with room for the largest size where its shape was typed."""
    channels, *extents = result.input_shape
    shape = ",".join(map(str, [channels, *roomy(extents, erf_for(max(sizes)))]))
    options = {**asked.options, "--shape": shape} if asked.options.get("--shape") else asked.options
    typed = ",".join(values.typed(size, lengths) for size in sizes)
    layer, model = shlex.quote(name), shlex.quote(asked.model)
    return f"erfscope advise {model} --layer {layer} --object {typed}{flags_of(options)}"


def _to_widen(result: Fit, size: float, levels: Sequence[FitLevel]) -> str | None:
    """The one of the largest ERF, of these levels, that is fine enough for a size and whose field is not.

    None where there is none, or where the sentence about the size asks for a larger input.
    """
    if erf_for(size) > min(result.input_shape[1:]):
        return None
    small = [
        level
        for level in levels
        if any(one.size == size and one.verdict == "small field" for one in level.objects)
        and all(step is not None and size >= UNITS_ACROSS * step for step in level.stride)
    ]
    return max(small, key=lambda level: level.erf_size or 0.0).name if small else None
