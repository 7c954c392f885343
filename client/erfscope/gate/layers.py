"""What changed in a model: its layers at the baseline and now, each a line of facts, compared in words. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from erfscope.gate.alignment import GAP, Pair, aligned
from erfscope.gate.rows import (
    FIELD,
    INPUT,
    MODULE,
    READS,
    Layers,
    Row,
    called,
    difference,
    differing,
    line_of,
    rows_of,
    word,
)
from erfscope.gate.wiring import rewired
from erfscope_contract.architecture import Architecture
from erfscope_contract.architecture.plan import INPUT as START
from erfscope_contract.architecture.plan import plan
from erfscope_contract.job import Inspection

MOST = 3  # changes that are told
# What the field of a spec's layer follows from.
GEOMETRY = (
    "kernel_size", "offsets", "stride", "dilation", "padding", "output_padding", "padding_mode", "groups",
    "out_channels", "out_features", "ceil_mode", "count_include_pad", "norm_type", "output_size", "size", "margin",
    "scale_factor", "upscale_factor", "downscale_factor", "mode", "align_corners", "num_heads", "times", "merge",
)  # fmt: skip


def of_spec(architecture: Architecture) -> dict[str, str]:
    """The layers of a spec, with blocks and repeats written out; raises ProblemError for names that clash."""
    shape = [architecture.input.channels, *architecture.input.size]
    rows = {INPUT: _input(shape)}
    steps = plan(architecture).steps
    for step in steps:
        layer = step.layer.model_dump(mode="json", exclude_defaults=True)
        sources = (INPUT if place == START else steps[place].name for place in step.inputs)
        facts = {key: layer[key] for key in GEOMETRY if key in layer}
        rows[step.name] = line_of(step.operator, {**facts, READS: _words(sources)})
    return rows


def of_inspection(
    inspection: Inspection, windows: Mapping[str, Mapping[str, str]], sources: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """The input and the spatial layers of an ONNX file, with what `windows` tells of their operators.

    `sources` are the layers that each layer reads.
    """
    rows = {
        row.name: line_of(
            row.operator,
            {
                "TRF": row.trf_size,
                "grid": list(row.trf_stride),
                **windows.get(row.name, {}),
                **({READS: _words(sources[row.name])} if row.name in sources else {}),
            },
        )
        for row in inspection.layers
    }
    return {inspection.input: _input(inspection.input_shape), **rows}


def is_wired(layers: Layers) -> bool:
    """Whether it is known which layer reads which; an older baseline does not have it."""
    return any(f" {READS}=" in line for line in layers.values())


def _words(names: Iterable[str]) -> str:
    """`conv1,relu0`."""
    return ",".join(map(word, names))


def _input(shape: Sequence[int]) -> str:
    """`input shape=3×64×64`."""
    return line_of(INPUT, {"shape": "×".join(map(str, shape))})


def changed(before: Layers, now: Layers) -> str:
    """`dilation of context8 8 → 1.`: the first changes from input to output, in words; empty where there is none.

    Layers are compared with those of the same place: a layer that was added shifts the names behind it.
    """
    pairs = _paired(rows_of(before), rows_of(now))
    words = [*_operators(pairs), *rewired(pairs)] or list(_fields(pairs))
    more = f" and {len(words) - MOST} more" if len(words) > MOST else ""
    return f"{'; '.join(words[:MOST])}{more}." if words else ""


def _paired(before: Sequence[Row], now: Sequence[Row]) -> list[Pair[Row]]:
    """Which layer is which: those at the same place where the sequence of kinds is as before, however many changed."""
    if not all(any(row.kind == INPUT for row in rows) for rows in (before, now)):  # an older baseline
        before, now = ([row.reduced for row in rows if row.kind != INPUT] for rows in (before, now))
    if [row.kind for row in before] == [row.kind for row in now]:
        return list(zip(before, now, strict=True))
    return aligned(before, now, _cost)


def _cost(old: Row, new: Row) -> float:
    """Of taking one for the other: more where their names differ too, and the more of their facts differ.

    Torch's module counts more than the tensor's name, because an exporter numbers tensors anew. Both may coincide for
    another layer where one was inserted before it, so that a name outweighs few facts only.
    """
    by_module = MODULE in old.facts and MODULE in new.facts
    is_same = old.facts[MODULE] == new.facts[MODULE] if by_module else old.name == new.name
    doubt = 0.0 if is_same else 1e-3 if by_module else 1e-6
    if old.kind != new.kind:
        return doubt + (1.5 * GAP if is_same else 2 * GAP)
    facts = [] if old.geometry == new.geometry else [fact for fact, _, _ in differing(old, new, without=FIELD)]
    count = len(facts) - ("padding" in facts and "dilation" in facts)  # the padding follows, to keep the size
    return doubt + (min(0.25 * count + (0.25 if is_same else 0.35), 1.25) * GAP if count else 0.0)


def _operators(pairs: Sequence[Pair[Row]]) -> Iterator[str]:
    """Layers that were removed, were added, or have another kernel, stride or dilation."""
    for side, group in groupby(enumerate(pairs), key=lambda each: _lacking(each[1])):
        places = list(group)
        if side is not None:
            yield _run(pairs, side, places[0][0], places[-1][0])
        for _, (old, new) in places:
            if old is not None and new is not None:
                yield from difference(old, new, without=FIELD)


def _lacking(pair: Pair[Row]) -> int | None:
    """The side that has a layer which the other lacks: 0 is before, 1 is now; None where both have one."""
    return None if None not in pair else int(pair[0] is None)


def _run(pairs: Sequence[Pair[Row]], side: int, first: int, last: int) -> str:
    """`layer b (conv) added between a and c`: layers in a row that one side has."""
    rows = [row for row in (pair[side] for pair in pairs[first : last + 1]) if row is not None]
    more = f" and {len(rows) - MOST} more" if len(rows) > MOST else ""
    words = f"layer{'s' * (len(rows) > 1)} {', '.join(row.summary for row in rows[:MOST])}{more}"
    before = next((row for row in (pair[side] for pair in reversed(pairs[:first])) if row is not None), None)
    after = next((row for row in (pair[side] for pair in pairs[last + 1 :]) if row is not None), None)
    return f"{words} {('removed', 'added')[side]}{_between(before, after)}"


def _between(before: Row | None, after: Row | None) -> str:
    if before is None:
        return f" before {called(after)}" if after else ""
    return f" between {called(before)} and {called(after)}" if after else f" after {called(before)}"


def _fields(pairs: Sequence[Pair[Row]]) -> Iterator[str]:
    """The first layer whose field or grid differs: those behind it differ because of it."""
    for old, new in pairs:
        if old is not None and new is not None and (words := list(difference(old, new, without=()))):
            yield ", ".join(words)
            return
