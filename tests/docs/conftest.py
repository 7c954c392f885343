"""The small ONNX model of the house, for the documents."""

from tests.house.conftest import onnx_model

__all__ = ["onnx_model"]
