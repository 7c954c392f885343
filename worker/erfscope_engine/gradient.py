"""Gradient maps: a unit, a micro-batch of samples, back to the input."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import Source
from erfscope_engine.eager import Executor, WholeNetwork
from erfscope_engine.execution.box import Box, lengths
from erfscope_engine.execution.program import Program, Run
from erfscope_engine.layers import Layer, Place, Traced
from erfscope_engine.plan import program_for
from erfscope_engine.room import refuse_without_room
from erfscope_engine.samples import draw, signs
from erfscope_engine.tail import VANISHING, Behind, Channels, Tail

Numbers = Sequence[int]  # of samples, row by row


def executor_for(traced: Traced, places: Sequence[Place]) -> Executor:
    """What computes the gradients of these units: a program on parts, or the whole network by autograd."""
    if not traced.eager:
        program = program_for(traced, places)
        if len(places) == 1:
            refuse_without_room(traced, program, places[0].layer)
        return program
    return WholeNetwork(traced.network, tuple((place.layer.name, place.box) for place in places))


class Forward:
    """Forward runs on seeded samples; the latest is kept, so that units that share it go back from one run.

    Sample k is always the same, whatever the batch; `numbers` say which samples the rows of a batch are.
    """

    def __init__(
        self, traced: Traced, executor: Executor, seed: int, source: Source, images: Sequence[NDArray[Any]]
    ) -> None:
        self.traced, self.executor, self.seed, self.source, self.images = traced, executor, seed, source, images
        self._latest: tuple[Numbers, Any] | None = None

    def run(self, numbers: Numbers) -> Any:
        """The run on these samples, as many as the batch has rows."""
        if self._latest is None or self._latest[0] != numbers:
            self._latest = None  # the old run's memory goes before the new one's is taken
            box = self.executor.boxes.get(0)
            self._latest = (numbers, self.executor.run(self.inputs(numbers, box and box[1:]), box))
        return self._latest[1]

    def inputs(self, numbers: Numbers, box: Box | None = None) -> Tensor:
        """The samples as a batch: the part in `box` (without the batch axis), or all of each."""
        network = self.traced.network
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:  # numpy draws without holding the interpreter
            samples = threads.map(self._sample, numbers)
            rows = [sample[tuple(slice(*part) for part in box or ())] for sample in samples]
        return torch.from_numpy(np.stack(rows)).to(device=network.device, dtype=network.dtype)

    def _sample(self, k: int) -> NDArray[Any]:
        return draw(self.source, self.traced.network.input_shape, self.seed, k, self.images)


@dataclass(frozen=True)
class Probe:
    """One unit of a traced network and how it is excited: target number `target` of what `forward` runs.

    `scale` seeds the gradient with 2**scale; `rectified` puts a ReLU on the outputs, as the RepLKNet script does.
    """

    forward: Forward
    target: int
    place: Place
    channels: Channels
    scale: int = 0
    rectified: bool = False

    @property
    def layer(self) -> Layer:
        """The unit's layer."""
        return self.place.layer

    @property
    def unit(self) -> tuple[int, ...]:
        """The unit's coordinates, or its full index."""
        return self.place.unit

    @property
    def traced(self) -> Traced:
        """The network on tape."""
        return self.forward.traced

    @property
    def batch(self) -> int:
        """Samples per run."""
        return 1 if self.traced.eager else self.traced.tape.batch

    @property
    def box(self) -> Box:
        """The part of the input that the gradient lives on, batch included."""
        return self.forward.executor.boxes[0]  # type: ignore[no-any-return]


def sample_gradients(probe: Probe, numbers: Numbers) -> NDArray[Any]:
    """2**scale · ∂(channels · y_unit)/∂x of these samples, row by row, on the box of the input that it reads.

    In the network's number type, float32 at least.

    Raises ProblemError: no-gradient where nothing on the way is differentiable, non-finite-output.
    """
    run = probe.forward.run(numbers)
    _check_output(probe, run)
    output = run.outputs[probe.target]
    g = run.back(probe.target, seed_of(probe, output, numbers))
    if g is None:
        return np.zeros(lengths(probe.box))
    array: NDArray[Any] = (g if g.dtype in (torch.float32, torch.float64) else g.float()).cpu().numpy()
    return array


def seed_of(probe: Probe, output: Tensor, numbers: Numbers) -> Tensor:
    """What is put on the unit's box of the output, in double: the powers of two of a float64 network are large."""
    weights = _channel_weights(probe, output, numbers).double() * 2.0**probe.scale
    return weights.to(output.dtype)


def _check_output(probe: Probe, run: Any) -> None:
    name = probe.layer.name
    if not run.is_differentiable(probe.target):
        raise ProblemError(
            "no-gradient",
            f"Layer {name!r} is computed from the input only through operators without a gradient "
            "(comparison, rounding, search, detach). Name an earlier layer.",
            layer=name,
        )
    if not torch.isfinite(run.outputs[probe.target]).all():
        raise ProblemError(
            "non-finite-output",
            f"Layer {name!r} has infinite or NaN values at unit {list(probe.unit)}. Look at the weights, and at the "
            "input's scale (input.source, input.mean, input.std).",
            layer=name,
        )


def _channel_weights(probe: Probe, y: Tensor, numbers: Numbers) -> Tensor:
    """What is put on the unit's channels, per sample."""
    batch = probe.layer.batch
    if isinstance(probe.channels, tuple):
        weights = listed(probe.channels, probe.layer, y)
    elif probe.channels == "random" and not probe.place.by_index:
        shape = tuple(n for k, n in enumerate(y.shape) if k != batch)
        rows = [signs(shape, probe.forward.seed, k) for k in numbers]
        weights = torch.from_numpy(np.stack(rows, batch)).to(y.device)
    else:
        weights = torch.ones(y.shape, device=y.device)
    return weights * (y.detach() > 0) if probe.rectified else weights


def listed(channels: tuple[int, ...], layer: Layer, y: Tensor) -> Tensor:
    """Ones on the listed channels: along the axes that are neither batch nor the unit's coordinates."""
    axes = layer.channel_axes
    count = prod(layer.shape[k] for k in axes)
    wrong = [c for c in channels if c >= count]
    if wrong:
        raise ProblemError(
            "invalid-target",
            f"target.channels names channel {wrong[0]}, but layer {layer.name!r} has {count}, counted from 0.",
            layer=layer.name,
        )
    flat = torch.zeros(count, device=y.device)
    flat[list(channels)] = 1
    return flat.reshape([layer.shape[k] if k in axes else 1 for k in range(y.dim())]).expand(y.shape)


@dataclass(frozen=True)
class Started:
    """A probe with its channels and scale decided, and the gradients of its first micro-batch.

    `is_noise`: they have nothing in common with the same in float64.
    """

    probe: Probe
    first: NDArray[Any]
    is_noise: bool = False

    @property
    def log_rms(self) -> float:
        """log2 of the root mean square of the first gradients, the scale taken out."""
        mean_square = float(np.square(self.first, dtype=np.float64).mean())
        return -np.inf if mean_square == 0 else 0.5 * float(np.log2(mean_square)) - self.probe.scale


def started(probe: Probe, tail: Tail | None = None) -> Started:
    """`probe` with `auto` channels decided: their sum, or random signs where the sum's gradient vanishes.

    `tail` judges that, and whether the gradient is noise; without one, gradients of the whole way to the input do.
    """
    if tail is not None:
        return _judged(probe, tail)
    if probe.channels != "auto" or probe.place.by_index:
        return _scaled(replace(probe, channels="sum") if probe.channels == "auto" else probe)
    plain, signed = _scaled(replace(probe, channels="sum")), _scaled(replace(probe, channels="random"))
    return signed if plain.log_rms < signed.log_rms + np.log2(VANISHING) else plain


def _judged(probe: Probe, tail: Tail) -> Started:
    """Judged by the first sample; by the whole micro-batch where that one is silent or looks like noise."""
    run = probe.forward.run(range(probe.batch))
    _check_output(probe, run)
    one, all_of_them = (_behind(probe, tail, run, samples) for samples in (1, probe.batch))
    channels = probe.channels
    if channels == "auto":
        judge = all_of_them if one.is_silent("random") else one
        signs_differ = not probe.place.by_index and judge.vanishes("sum", "random")
        channels = "random" if signs_differ else "sum"
    is_noise = one.is_noise(channels) and all_of_them.is_noise(channels)
    return replace(_scaled(replace(probe, channels=channels)), is_noise=is_noise)


def _behind(probe: Probe, tail: Tail, run: Run, samples: int) -> Behind:
    def put(channels: Channels, output: Tensor) -> Tensor:
        return seed_of(replace(probe, channels=channels), output, range(samples))

    return tail.behind(run, samples, put)


def _scaled(probe: Probe) -> Started:
    """`probe` seeded with the power of two that brings the first micro-batch well inside the number range.

    Untrained deep nets underflow (1e-62 in float32), and the map is linear in its seed. Ordinary ones keep scale 0.
    """
    first = range(probe.batch)
    top = int(np.log2(torch.finfo(probe.traced.network.dtype).max)) - 8
    plain = Started(probe, sample_gradients(probe, first))
    for scale in (0, top // 2, top, -top // 2):
        at = replace(probe, scale=scale)
        g = plain.first if scale == 0 else sample_gradients(at, first)
        peak = float(np.abs(g).max()) if g.size else 0.0
        if peak > 0 and np.isfinite(peak):
            if scale == 0 and abs(np.log2(peak)) < top // 4:
                return plain
            at = replace(probe, scale=int(np.clip(scale - round(float(np.log2(peak))), -top, top)))
            return Started(at, sample_gradients(at, first))
    return plain


def steps_by_autograd(executor: Executor) -> list[tuple[str, str]]:
    """Operators that autograd ran on whole tensors, and why; the whole network where nothing else could."""
    if not isinstance(executor, Program):
        return [("the whole network", "it could not be recorded")]
    return [(name, step.autograd) for step in executor.steps if step.autograd for name in [step.operator]]
