"""Which layers the profile along depth has: all, or those that names, patterns or a step choose."""

import re
from collections.abc import Mapping, Set
from dataclasses import replace
from fnmatch import fnmatchcase

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest
from erfscope_engine.layers import Layer, Traced

EVERY = re.compile(r"every:(\d+)")


def profiled(traced: Traced, request: ErfRequest) -> list[Layer]:
    """The layers that `request.layers` asks for, in the order of computation; those without a gradient are left out.

    A layer with several names has the one that was asked for, first of all its usual one.
    Raises ProblemError("invalid-target") for a name or pattern that no layer has.
    """
    if request.layers == "target":
        return []
    layers = [layer for layer in traced.layers if layer.value >= 0 and traced.tape.values[layer.value].live]
    if request.layers == "all":
        return layers
    names = {layer.name: {layer.name} for layer in layers}
    by_value = {layer.value: layer.name for layer in layers}
    for name, value in traced.tape.names.items():  # a module may return what its last child returns
        if value in by_value:
            names[by_value[value]].add(name)
    for alias, name in traced.network.aliases.items():
        if name in names:
            names[name].add(alias)
    chosen: dict[str, str] = {}
    for wanted in request.layers:
        for name, called in _matching(wanted, names, traced).items():
            chosen.setdefault(name, called)
    return [replace(layer, name=chosen[layer.name]) for layer in layers if layer.name in chosen]


def _matching(wanted: str, names: Mapping[str, Set[str]], traced: Traced) -> dict[str, str]:
    """The layers that one entry chooses, each with its name that the entry asks for; `names` are all of each layer."""
    step = EVERY.fullmatch(wanted)
    if step:
        if int(step[1]) < 1:
            raise ProblemError("invalid-request", f"layers {wanted!r} has no step; every:4 is each fourth layer.")
        return {name: name for name in list(names)[:: -int(step[1])]}
    exact = {name: wanted for name, known in names.items() if wanted in known}
    alike = exact or {
        name: min(called, key=lambda one: (one != name, len(one), one))
        for name, known in names.items()
        if (called := [one for one in known if fnmatchcase(one, wanted)])
    }
    if not alike:
        traced.layer(wanted)  # raises with the names that are near, where there is no such layer at all
        raise ProblemError("invalid-target", f"Layer {wanted!r} has no gradient, or no axes in the input's space.")
    return alike
