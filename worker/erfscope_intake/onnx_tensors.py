"""ONNX tensors → torch: types, and whether the bytes are what the dims say."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from erfscope_contract.problem import ProblemError
from erfscope_intake.bounds import MAX_ELEMENTS, check_axes

# What an ONNX type computes as. Narrow floats widen: they are the working type anyway once they meet the input.
# Unsigned integers that torch hardly knows become int64.
TORCH_TYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float32,
    TensorProto.BFLOAT16: torch.float32,
    TensorProto.FLOAT8E4M3FN: torch.float32,
    TensorProto.FLOAT8E4M3FNUZ: torch.float32,
    TensorProto.FLOAT8E5M2: torch.float32,
    TensorProto.FLOAT8E5M2FNUZ: torch.float32,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.UINT16: torch.int64,
    TensorProto.UINT32: torch.int64,
    TensorProto.UINT64: torch.int64,
    TensorProto.INT4: torch.int8,
    TensorProto.UINT4: torch.uint8,
    TensorProto.BOOL: torch.bool,
}
FLOATS = {number for number, dtype in TORCH_TYPES.items() if dtype.is_floating_point}
# Types whose typed field packs something else than one element per entry.
PACKED: dict[int, int] = {TensorProto.INT4: 2, TensorProto.UINT4: 2}
_COMPLEX = {TensorProto.COMPLEX64, TensorProto.COMPLEX128}


Outside = Callable[[TensorProto], NDArray[Any]]


def not_outside(tensor: TensorProto) -> NDArray[Any]:
    """For tensors that must have their data in them: onnx itself would open the file."""
    raise ProblemError("external-data", f"Tensor {tensor.name[:80]!r} has no data in the model.")


def torch_type(number: int) -> torch.dtype:
    """The torch type that an ONNX element type computes as; ProblemError("unsupported-op") where there is none."""
    if number not in TORCH_TYPES:
        known = number in TensorProto.DataType.values()
        name = TensorProto.DataType.Name(number) if known else str(number)
        raise ProblemError("unsupported-op", f"Tensors of the element type {name} cannot be computed with.")
    return TORCH_TYPES[number]


def check_tensor(tensor: TensorProto, where: str) -> None:
    """Refuse a tensor whose bytes are not what its dims say; `onnx_external` checks those beside the model."""
    count = _count(tensor, where)
    if tensor.data_location == TensorProto.EXTERNAL:
        return
    if tensor.HasField("raw_data"):
        expected, got = raw_bytes(tensor, where), len(tensor.raw_data)
    else:
        expected, got = _entries(tensor, count), len(getattr(tensor, _field(tensor, where)))
    if expected != got:
        raise ProblemError(
            "invalid-model",
            f"{where} of shape {list(tensor.dims)} needs {expected} bytes or entries, it has {got}.",
        )


def _count(tensor: TensorProto, where: str) -> int:
    check_axes(len(tensor.dims), where)
    if any(extent < 0 for extent in tensor.dims):
        raise ProblemError("invalid-model", f"{where} has a negative extent: {list(tensor.dims)}.")
    if tensor.HasField("segment") or tensor.data_type == TensorProto.UNDEFINED:
        raise ProblemError("invalid-model", f"{where} has no usable data.")
    count = int(math.prod(tensor.dims))  # of a few axes
    if count > MAX_ELEMENTS:
        raise ProblemError("invalid-model", f"{where} has the impossible shape {list(tensor.dims)[:8]}.")
    return count


def raw_bytes(tensor: TensorProto, where: str) -> int:
    """Bytes of a tensor's data, by its shape and type; raises ProblemError("invalid-model")."""
    count = _count(tensor, where)
    if tensor.data_type in PACKED:
        return -(-count // PACKED[tensor.data_type])
    try:
        return count * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, TypeError) as error:
        raise _unknown_type(tensor, where) from error


def _field(tensor: TensorProto, where: str) -> str:
    """The typed field that holds a tensor of this type."""
    try:
        name: str = helper.tensor_dtype_to_field(tensor.data_type)
    except (KeyError, TypeError) as error:
        raise _unknown_type(tensor, where) from error
    return name


def _unknown_type(tensor: TensorProto, where: str) -> ProblemError:
    return ProblemError("invalid-model", f"{where} has the unknown type {tensor.data_type}.")


def _entries(tensor: TensorProto, count: int) -> int:
    if tensor.data_type in PACKED:
        return -(-count // PACKED[tensor.data_type])
    return count * 2 if tensor.data_type in _COMPLEX else count


def to_torch(tensor: TensorProto, outside: Outside = not_outside) -> Tensor:
    """A checked ONNX tensor as a torch tensor of its computing type; `outside` reads data that lie in another file."""
    dtype = torch_type(tensor.data_type)
    array = (outside if tensor.data_location == TensorProto.EXTERNAL else numpy_helper.to_array)(tensor)
    wide = {torch.float32: np.float32, torch.int64: np.int64, torch.int8: np.int8, torch.uint8: np.uint8}
    if dtype in wide and array.dtype != wide[dtype]:
        array = array.astype(wide[dtype])
    return torch.from_numpy(array if array.flags.writeable else np.array(array))  # the protobuf's buffer is read-only
