"""What the forward half of the analytic pass knows of a tensor: mean and variance of each of its elements."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Mean and variance per element; `mean` None says that it is 0 everywhere, as behind weights drawn around 0."""

    mean: Tensor | None
    variance: Tensor

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
