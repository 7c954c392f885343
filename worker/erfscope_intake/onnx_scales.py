"""Networks that answer at several scales: which one the measured layer has, in words."""

from collections.abc import Iterator, Mapping, Sequence

from erfscope_contract.result import LayerInfo
from erfscope_intake.onnx_graph import Program, Step
from erfscope_intake.onnx_layout import TRANSPARENT
from erfscope_intake.onnx_states import MOVES

Shape = tuple[int, ...]
SAME_PLACES = TRANSPARENT | MOVES | {"Flatten", "Sigmoid", "Softmax", "Exp", "Tanh", "HardSigmoid", "LogSoftmax"}
MOST_NAMED = 4


def notes_on_scales(
    layer: LayerInfo, program: Program, names: Mapping[str, str], shapes: Mapping[str, Shape], *, is_named: bool
) -> list[str]:
    """What is to be told where `layer` is one of several scales, or joins them.

    `names` are the file's by neutral name, `shapes` those of the tensors (with the batch) by the file's name.
    """
    joined = _joined(layer.name, program, names, shapes)
    if len(joined) > 1:
        largest = max(joined, key=lambda name: joined[name])
        return [
            f"Layer {layer.name!r} joins maps of several scales: {_listed(list(joined), shapes)}; the unit is "
            f"counted on that of {largest!r}. Name one of them to measure another."
        ]
    others = [] if is_named else _other_outputs(layer, program, names, shapes)
    if not others:
        return []
    return [
        f"The network answers at several scales: {_listed([*others, layer.name], shapes)}; auto took {layer.name!r}. "
        "Name another to measure that."
    ]


def _other_outputs(
    layer: LayerInfo, program: Program, names: Mapping[str, str], shapes: Mapping[str, Shape]
) -> list[str]:
    """The outputs that are like a layer that is one, but for their extents in space."""
    outputs = [names[name] for name in program.outputs if names[name] in shapes]
    if layer.name not in outputs:
        return []

    def space(shape: Shape) -> list[int]:
        return [shape[1:][axis] for axis in layer.spatial_axes]

    alike = [name for name in outputs if len(shapes[name]) == len(layer.shape) + 1 and name != layer.name]
    mine = space(shapes[layer.name])
    return [name for name in alike if space(shapes[name]) != mine and min(space(shapes[name])) > 1]


def _joined(layer: str, program: Program, names: Mapping[str, str], shapes: Mapping[str, Shape]) -> dict[str, int]:
    """The maps of different scales that a layer joins, each with how many places of the joined row it has."""
    made = {names[name]: step for step in program.steps for name in step.outputs if name}
    for step in _back(layer, made, names, every=True):
        if step.node.operator == "Concat" and (maps := _scales(step, made, names, shapes)):
            return maps
    return {}


def _scales(
    join: Step, made: Mapping[str, Step], names: Mapping[str, str], shapes: Mapping[str, Shape]
) -> dict[str, int]:
    """The maps whose places are in one row behind a join; none where they are of one scale."""
    axis, maps = join.node.int("axis", 1), dict[str, int]()
    for operand in (names[name] for name in join.inputs):
        source = _map(operand, made, names, shapes)
        if source and operand in shapes:
            maps.setdefault(source, shapes[operand][axis])
    first = shapes[next(iter(maps))] if maps else ()
    others = {name: count for name, count in maps.items() if _is_scaled(shapes[name], first)}
    return {next(iter(maps)): next(iter(maps.values())), **others} if others else {}


def _is_scaled(one: Shape, other: Shape) -> bool:
    """Whether two maps differ along more than their channels: of a signal, along an axis behind them."""
    differing = [k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    return len(one) == len(other) and (len(differing) > 1 or (len(one) == 3 and differing == [2]))


def _back(name: str, made: Mapping[str, Step], names: Mapping[str, str], *, every: bool = False) -> Iterator[Step]:
    """The steps that lead to a value, the last first, as long as each keeps the places of its first operand.

    `every`: those of all operands, and of what a join joins, too.
    """
    pending, seen = [name], {name}
    for value in pending:  # grows while it is walked; every value comes once
        step = made.get(value)
        if step is None:
            continue
        yield step
        if step.node.operator in SAME_PLACES or (every and step.node.operator == "Concat"):
            operands = [names[one] for one in step.inputs if one][: None if every else 1]
            pending += [one for one in dict.fromkeys(operands) if one not in seen]
            seen.update(operands)


def _map(name: str, made: Mapping[str, Step], names: Mapping[str, str], shapes: Mapping[str, Shape]) -> str | None:
    """The map that a joined row of places was before it was one: the nearest value of a higher rank."""
    rank = len(shapes.get(name, ()))
    for step in _back(name, made, names):
        source = names[step.inputs[0]] if step.inputs and step.inputs[0] else ""
        if step.node.operator in SAME_PLACES and len(shapes.get(source, ())) > rank:
            return source
    return None


def _listed(names: Sequence[str], shapes: Mapping[str, Shape]) -> str:
    told = [f"{name!r} {list(shapes[name][1:])}" for name in names[-MOST_NAMED:]]
    return ", ".join(told[:-1]) + f" and {told[-1]}"
