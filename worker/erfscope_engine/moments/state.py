"""What the forward half of the analytic pass knows of a tensor: mean and variance of each of its elements."""

from dataclasses import dataclass

import torch
from torch import Tensor

from erfscope_engine.execution.box import Box, cut


@dataclass(frozen=True)
class Moments:
    """Mean and variance per element; `mean` None says that it is 0 everywhere, as behind weights drawn around 0."""

    mean: Tensor | None
    variance: Tensor

    @property
    def shape(self) -> torch.Size:
        """The tensor's shape."""
        return self.variance.shape

    @property
    def second(self) -> Tensor:
        """The mean square."""
        return self.variance if self.mean is None else self.variance + self.mean.square()

    @property
    def dense_mean(self) -> Tensor:
        """The mean as a tensor."""
        return torch.zeros_like(self.variance) if self.mean is None else self.mean

    @property
    def deviation(self) -> Tensor:
        """The standard deviation."""
        return self.variance.clamp_min(0).sqrt()

    def cut(self, own: Box, wanted: Box) -> "Moments":
        """The part `wanted` of a tensor that holds `own`."""
        return Moments(None if self.mean is None else cut(self.mean, own, wanted), cut(self.variance, own, wanted))
