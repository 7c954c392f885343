"""Which layer `auto` means: the tensor nearest to the output that has axes in the input's space and a gradient."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from erfscope_contract.problem import ProblemError
from erfscope_contract.result import PassedOver
from erfscope_engine.layers import Layer, Traced

NO_GRADIENT = "it is computed from the input only through operators without a gradient"
FEWER_AXES = "its units lie along fewer axes of the input than those of an earlier layer"
UNUSED = "no output of the network depends on it"
NO_AXES = "none of its axes follows the input's space, or has more than one position"
MOST_TOLD = 8


def chosen(traced: Traced, refused: Mapping[str, str]) -> tuple[Layer, list[PassedOver]]:
    """The layer that `auto` takes, and what it passed over, nearest to the output first.

    `refused` are layers by name that turned out to have no gradient, with the reason.
    Raises ProblemError: no-spatial-layer, no-gradient.
    """
    passed: list[PassedOver] = []
    most = max((layer.rank for layer in traced.layers if _counts(traced, layer)), default=0)
    by_value = {layer.value: layer for layer in traced.layers if layer.frame is not None}
    behind = [layer for layer in reversed(traced.layers) if layer.frame is None]
    recorded = [by_value.get(index, value.name) for index, value in reversed(list(enumerate(traced.tape.values)))]
    for each in [*behind, *(item for item in recorded if item)]:
        if isinstance(each, str):
            passed.append(PassedOver(name=each, why=NO_AXES))
            continue
        why = refused.get(each.name) or _objection(traced, each, most)
        if not why:
            return each, _told(passed)
        passed.append(PassedOver(name=each.name, why=why))
    if not traced.layers:
        raise ProblemError("no-spatial-layer", _no_layers(traced))
    left = [layer for layer in traced.layers if layer.frame is None or _is_live(traced, layer)]
    if left:  # the nearest of them, so that measuring it tells what is wrong
        return left[-1], _told([each for each in passed if each.name != left[-1].name])
    raise ProblemError(
        "no-gradient",
        f"No layer of this network has a gradient with respect to its input: {_sentence(passed)} Name a layer, a unit "
        "or channels, or give other inputs (input.source).",
        layer=traced.layers[-1].name,
    )


def _told(passed: Sequence[PassedOver]) -> list[PassedOver]:
    return list(passed[:MOST_TOLD])


def _sentence(passed: Iterable[PassedOver]) -> str:
    return " ".join(f"{each.name!r}: {each.why}." for each in list(passed)[:3])


def _is_live(traced: Traced, layer: Layer) -> bool:
    return traced.tape.values[layer.value].live


def _is_used(traced: Traced, layer: Layer) -> bool:
    used = traced.tape.used
    return used is None or layer.value in used


def _counts(traced: Traced, layer: Layer) -> bool:
    """Whether along how many axes a layer's units lie is what others are held to: the input, seen otherwise, is not."""
    if layer.frame is None:
        return True
    return _is_used(traced, layer) and _is_live(traced, layer) and layer.value not in traced.rearranged


def _objection(traced: Traced, layer: Layer, most: int) -> str:
    fewer = layer.rank < most
    if layer.frame is None:
        return FEWER_AXES if fewer else ""
    objections: tuple[tuple[str, Callable[[], bool]], ...] = (
        (UNUSED, lambda: not _is_used(traced, layer)),
        (FEWER_AXES, lambda: fewer),
        (NO_GRADIENT, lambda: not _is_live(traced, layer)),
        ("it is the input itself, moved or scaled", lambda: layer.value in traced.rearranged),
        ("it is a softmax over space, the weights of an attention", lambda: _spreads(traced, layer)),
    )
    return next((why for why, holds in objections if holds()), "")


def _spreads(traced: Traced, layer: Layer) -> bool:
    made = traced.tape.values[layer.value].made
    call = None if made is None else traced.tape.calls[made]
    if call is None or "softmax" not in call.name or not call.has("dim"):
        return False
    return call.arg("dim") % len(layer.shape) in {c.axis for c in layer.coordinates}


def _no_layers(traced: Traced) -> str:
    ended = f" Recording ended at {traced.tape.stopped}." if traced.tape.stopped else ""
    return (
        "No tensor of this network keeps an axis of the input's space, so there is no unit whose field could be drawn "
        f"(input {list(traced.network.input_shape)}). An element of any layer can be measured by its full index: "
        f'target.unit {{"index": [...]}} with target.layer.{ended}'
    )
