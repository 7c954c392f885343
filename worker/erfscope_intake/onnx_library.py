"""onnx2torch, loaded when a file needs it: it brings torchvision and torch's compiler, a second of imports."""

from functools import cache
from typing import Any


@cache
def registry() -> dict[Any, Any]:
    """Its converters by OperationDescription (domain, operator, version)."""
    from onnx2torch import node_converters  # noqa: F401 - fills the registry
    from onnx2torch.node_converters.registry import _CONVERTER_REGISTRY

    return dict(_CONVERTER_REGISTRY)
