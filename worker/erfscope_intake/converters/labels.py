"""What classifiers end in: numbers become names of classes. Nothing of it has a gradient, so it is left out."""

from typing import NoReturn

from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.converters.table import CLASSICAL, Node, converts


@converts("ArrayFeatureExtractor", domain=CLASSICAL, reads=(0, 1))
def array_feature_extractor(_node: Node, x: Tensor, places: Tensor) -> Tensor:
    """Some places of the last axis."""
    return x.index_select(-1, places.reshape(-1))


@converts("ZipMap", "LabelEncoder", domain=CLASSICAL, reads=(0,))
def named_classes(_node: Node, _x: Tensor) -> NoReturn:
    """Left out where it follows the input; on constants there is nothing to be computed."""
    raise ProblemError(
        "unsupported-op", "it gives names to classes, and cannot be run on constants; export the network without it"
    )
