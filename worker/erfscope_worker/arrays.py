"""Arrays from a child, checked while they come: an .npy file of finite numbers, as long as its header says."""

import ast
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from erfscope_contract.parts import IMAGE, LAYERS, MAP, SHARD, UNITS
from erfscope_contract.result import ErfResult

MAGIC = b"\x93NUMPY\x01\x00"  # version 1.0, which children write
PREFIX = len(MAGIC) + 2  # and two bytes with the length of the description
LONGEST_HEADER = 1024  # numpy writes 128
DTYPES = {name: np.dtype(name) for name in ("<f4", "<f8", "<i8", "|u1")}
MAP_DTYPES = (DTYPES["<f4"], DTYPES["<f8"])
IMAGE_DTYPES = (DTYPES["|u1"],)
MOST_AXES = 8


class ArrayCheck:
    """Takes the bytes of one .npy file in pieces; raises ValueError as soon as they are not one."""

    def __init__(self) -> None:
        self.dtype: np.dtype[Any] | None = None  # known when the header has come
        self.shape: tuple[int, ...] = ()
        self._missing = 0  # bytes of data that have not come yet
        self._pending = b""  # the header, or an item, as far as it has come

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        if self.dtype is None:
            self._pending += piece
            piece = self._take_header()
        if self.dtype is not None:
            self._take_data(piece, self.dtype)

    def finish(self) -> None:
        """Nothing more comes."""
        if self.dtype is None or self._missing:
            raise ValueError("an array that ends too early")

    def _take_header(self) -> bytes:
        """What came behind the header; nothing while it is incomplete."""
        known = self._pending
        if len(known) < PREFIX:
            return b""
        if not known.startswith(MAGIC):
            raise ValueError("an array without the head of an .npy file")
        end = PREFIX + int.from_bytes(known[len(MAGIC) : PREFIX], "little")
        if end > LONGEST_HEADER:
            raise ValueError("an array with a header that is too long")
        if len(known) < end:
            return b""
        self._describe(known[PREFIX:end])
        self._pending = b""
        return known[end:]

    def _describe(self, text: bytes) -> None:
        try:
            facts = ast.literal_eval(text.decode("ascii").strip())
        except (SyntaxError, MemoryError, RecursionError) as error:
            raise ValueError("an array whose header cannot be read") from error
        if not isinstance(facts, dict) or set(facts) != {"descr", "fortran_order", "shape"}:
            raise ValueError("an array with other fields in its header")
        dtype, shape = facts["descr"], facts["shape"]
        if not isinstance(dtype, str) or dtype not in DTYPES or facts["fortran_order"] is not False:
            raise ValueError("an array of another type or order")
        if not isinstance(shape, tuple) or len(shape) > MOST_AXES or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError("an array whose shape is not one")
        self.dtype, self.shape = DTYPES[dtype], shape
        self._missing = math.prod(shape) * self.dtype.itemsize

    def _take_data(self, piece: bytes, dtype: np.dtype[Any]) -> None:
        self._missing -= len(piece)
        if self._missing < 0:
            raise ValueError("an array longer than its header says")
        data = self._pending + piece
        whole = len(data) - len(data) % dtype.itemsize
        if not np.isfinite(np.frombuffer(memoryview(data)[:whole], dtype)).all():
            raise ValueError("an array with numbers that are not finite")
        self._pending = data[whole:]


def compare(checks: Mapping[str, ArrayCheck], result: ErfResult) -> None:
    """Raise ValueError where the arrays are not those of this result.

    `map` has the input's spatial shape; `units` and `layers` have one such map for each row of the result; `image` is
    RGB of that shape.
    """
    spatial = tuple(result.input_shape[1:])
    expected = {MAP: spatial}
    if result.maps.units:
        expected[UNITS] = (len(result.units), *spatial)
    if result.maps.layers:
        expected[LAYERS] = (len(result.layers), *spatial)
    if result.maps.image:
        expected[IMAGE] = (*spatial, 3)
    if set(checks) != set(expected):
        raise ValueError("arrays that are not those of the result")
    for name, check in checks.items():
        if check.shape != expected[name] or check.dtype not in (IMAGE_DTYPES if name == IMAGE else MAP_DTYPES):
            raise ValueError(f"an array {name} that does not fit the result")


def compare_part(checks: Mapping[str, ArrayCheck]) -> None:
    """Raise ValueError where the arrays are not those of a shard."""
    if {name: check.dtype for name, check in checks.items()} != {name: np.dtype(of) for name, of in SHARD.items()}:
        raise ValueError("arrays that are not those of a shard")
    if any(len(check.shape) != 1 for check in checks.values()):
        raise ValueError("an array of a shard that is not flat")
