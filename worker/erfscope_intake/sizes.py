"""A model loaded for inputs of several sizes, noise of each size for it, and the tensors that a run gives."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions, ModelRef, Weights
from erfscope_engine.eager import tensors_of
from erfscope_engine.network import Network
from erfscope_intake.onnx_external import Sent
from erfscope_intake.onnx_model import load_onnx
from erfscope_intake.spec import build_network

NOISE_SEED = 0


@dataclass(frozen=True)
class SizedModel:
    """A model as a request names it, with its file and the files that came with it (as in `answer.Sources`)."""

    ref: ModelRef
    options: InputOptions
    weights: Weights
    device: torch.device
    path: Path | None = None
    data: Sent | None = None
    seed: int = 0

    def network(self, shape: Sequence[int] | None = None, dtype: torch.dtype = torch.float32) -> Network:
        """The network for inputs of `shape` ([C, *space], without the batch); None is the model's own.

        Raises ProblemError, as a measurement does.
        """
        options = self.options if shape is None else self.options.model_copy(update={"shape": list(shape)})
        if self.ref.architecture is not None:
            return build_network(
                self.ref.architecture, options, dtype=dtype, device=self.device, weights=self.weights, seed=self.seed
            )
        if self.path is None:
            raise ProblemError(
                "invalid-request", "The request names no model: give model.sha256, an architecture or a file."
            )
        return load_onnx(
            self.path,
            options,
            dtype=dtype,
            device=self.device,
            weights=self.weights,
            seed=self.seed,
            data=self.data,
        )


@contextmanager
def size_explained(shape: Sequence[int], own: Sequence[int]) -> Iterator[None]:
    """Say of a network that does not run at `shape` that it does at its `own`, and what to do."""
    try:
        yield
    except ProblemError as problem:
        if problem.kind not in ("shape-mismatch", "invalid-architecture"):
            raise
        size, usual = ("×".join(map(str, sides)) for sides in (shape, own))
        raise ProblemError(
            "shape-mismatch",
            f"The network runs on an input of {usual} but not on one of {size}, which its tiles or their check need: "
            f"{problem.problem.detail} Export it with free (dynamic) spatial axes, or choose a tile whose size it "
            "takes.",
            expected=list(own),
            got=list(shape),
        ) from problem


def values_of(network: Network, x: Tensor, names: Sequence[str]) -> Mapping[str, Tensor]:
    """Run `network` on `x` (without a gradient) until the tensors of these names are there."""
    with torch.no_grad():
        return {name: value for name, (_, value) in tensors_of(network, x, names).items()}


def noise(network: Network, number: int = 0) -> Tensor:
    """Batch `number` of normal noise, the same for every call: [batch, C, *space]."""
    shape = (network.batch or 1, *network.input_shape)
    generator = torch.Generator().manual_seed(NOISE_SEED + number)
    return torch.randn(shape, generator=generator, dtype=network.dtype).to(network.device)
