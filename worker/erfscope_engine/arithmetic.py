"""The arithmetic of a request: the type of a network's tensors, and whether a GPU may shorten float32 to TF32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import Dtype

TYPES = {
    Dtype.FLOAT32: torch.float32,
    Dtype.FLOAT64: torch.float64,
    Dtype.BFLOAT16: torch.bfloat16,
    Dtype.FLOAT16: torch.float16,
    Dtype.TF32: torch.float32,
}


def torch_dtype(dtype: Dtype) -> torch.dtype:
    """What tensors of a network hold."""
    return TYPES[dtype]


@contextmanager
def arithmetic(dtype: Dtype, device: torch.device) -> Iterator[None]:
    """Products of float32 numbers as asked: whole, or of 10 bits (TF32).

    torch by itself lets convolutions on a GPU use TF32, which would make float32 something else there than on a CPU.
    Raises ProblemError("unsupported-feature") for TF32 elsewhere than on a GPU.
    """
    shorter = dtype is Dtype.TF32
    if shorter and device.type != "cuda":
        raise ProblemError(
            "unsupported-feature",
            "dtype is 'tf32', which is an arithmetic of GPUs, and here the network is computed on the "
            f"{device.type.upper()}; use dtype 'float32'.",
        )
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = shorter
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
