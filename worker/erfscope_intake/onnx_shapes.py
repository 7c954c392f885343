"""Free axes that are not as free as the file says (a fixed position embedding, many halvings): a shape that fits."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from erfscope_contract.problem import ProblemError
from erfscope_engine.network import Network
from erfscope_engine.recording.recorder import record
from erfscope_intake.onnx_inputs import FREE, USED

At = Callable[[Sequence[int]], Network]


def fitting(network: Network, shapes: Iterable[Sequence[int]], at: At) -> Network:
    """`network`, if it runs at its own input shape, else what `at` gives for the first of `shapes` that it runs at.

    Raises ProblemError("shape-mismatch") with the first reason where none fits.
    """
    misfit = _misfit(network)
    if misfit is None:
        return network
    for shape in shapes:
        other = at(shape)
        if _misfit(other) is None:
            refused = list(network.input_shape)
            note = f"{FREE}, but the network does not run at {refused}; {shape} is taken. {USED}"
            return replace(other, notes=(note, *(told for told in network.notes if not told.startswith(FREE))))
    raise misfit


def _misfit(network: Network) -> ProblemError | None:
    """Why the network does not run at its input shape; recording computes shapes only."""
    try:
        record(network, network.batch or 1)
    except ProblemError as problem:
        if problem.kind != "shape-mismatch":
            raise
        return problem
    return None
