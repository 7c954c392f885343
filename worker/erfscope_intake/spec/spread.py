"""The standard deviation of each weight under its scheme, in the weight's place: what the analytic method squares."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from erfscope_contract.architecture import Init, InitOptions
from erfscope_contract.problem import ProblemError
from erfscope_intake.spec.schemes import Rim, fans, kaiming_std, rim_scale, uniform_bounds, xavier_std

UNCENTRED = (
    "Layer {layer!r} takes its weights from the scheme {scheme}, which is not random around 0: gradients of its "
    "positions then add up in step, which method 'analytic' does not follow. Use method 'gradient' (a network without "
    "randomness needs one sample), or another scheme, for example weights='kaiming_normal'."
)
Deviation = Callable[[Tensor, InitOptions], float]


def spread_weight(weight: Tensor, options: InitOptions, rim: Rim, layer: str) -> None:
    """Fill a weight of shape (a, b, *taps) with its standard deviation in place.

    Raises ProblemError("unsupported-feature") for a scheme whose weights have another mean than 0.
    """
    found = DEVIATIONS.get(options.scheme)
    if found is None or _mean(weight, options) != 0:
        raise ProblemError(
            "unsupported-feature", UNCENTRED.format(layer=layer, scheme=options.scheme.value), layer=layer
        )
    weight.fill_(found(weight, options))
    if options.scheme is Init.LOW_CENTER:
        scale = rim_scale(options, rim)
        weight.view(*weight.shape[:2], -1).mul_(torch.from_numpy(np.asarray(scale)).to(weight))


def spread_bias(bias: Tensor, weight: Tensor, options: InitOptions) -> None:
    """The same for a bias: 0, but for torch's default."""
    bias.fill_(1 / math.sqrt(3 * fans(weight.shape)[0]) if options.scheme is Init.DEFAULT else 0.0)


def _mean(weight: Tensor, options: InitOptions) -> float:
    if options.scheme is Init.UNIFORM:
        return sum(uniform_bounds(weight, options)) / 2
    return (options.mean or 0.0) if options.scheme is Init.NORMAL else 0.0


def _uniform(weight: Tensor, options: InitOptions) -> float:
    low, high = uniform_bounds(weight, options)
    return (high - low) / math.sqrt(12)


def _orthogonal(weight: Tensor, options: InitOptions) -> float:
    """Entries of a uniformly drawn orthonormal frame are uncorrelated, with mean square 1 / its longer side."""
    return (options.gain or 1.0) / math.sqrt(max(weight.shape[0], weight[0].numel()))


DEVIATIONS: dict[Init, Deviation] = {
    Init.DEFAULT: lambda weight, options: 1 / math.sqrt(3 * fans(weight.shape)[0]),
    Init.KAIMING_NORMAL: kaiming_std,
    Init.KAIMING_UNIFORM: kaiming_std,
    Init.XAVIER_NORMAL: xavier_std,
    Init.XAVIER_UNIFORM: xavier_std,
    Init.ORTHOGONAL: _orthogonal,
    Init.NORMAL: lambda weight, options: 1 / math.sqrt(fans(weight.shape)[0]) if options.std is None else options.std,
    Init.UNIFORM: _uniform,
    Init.LOW_CENTER: kaiming_std,
}
