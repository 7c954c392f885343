"""The running service and the small ONNX model of the house, for the documents."""

from tests.house.conftest import house, onnx_model

__all__ = ["house", "onnx_model"]
