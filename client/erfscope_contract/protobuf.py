"""Protocol buffers on the wire, field by field, without building a message."""

from collections.abc import Iterator

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}


class BrokenError(ValueError):
    """The bytes are not a protocol buffer, or they are cut short."""


def read_field(view: memoryview, position: int, end: int) -> tuple[int, int, int | None]:
    """The field at `position`: its number, where the next one begins, and where its content begins if it has a length.

    Raises BrokenError.
    """
    key, position = read_varint(view, position, end)
    wire, start = key & 7, None
    if wire == VARINT:
        _, position = read_varint(view, position, end)
    elif wire == LENGTH_DELIMITED:
        length, start = read_varint(view, position, end)
        position = start + length
    elif wire in FIXED_BYTES:
        position += FIXED_BYTES[wire]
    else:
        raise BrokenError(f"wire type {wire} does not exist")
    if position > end or key >> 3 == 0:
        raise BrokenError("a field is cut short, or has the number 0")
    return key >> 3, position, start


def read_varint(view: memoryview, position: int, end: int) -> tuple[int, int]:
    """An integer of variable length at `position`, and where the next field begins; raises BrokenError."""
    value = shift = 0
    while position < end and shift < 70:
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise BrokenError("an integer is cut short")


def fields(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int | None]]:
    """Every field of the message in `view[start:end]`: its number, its begin, its end, and where its content begins.

    The last one is None for a field without a length. Raises BrokenError.
    """
    while start < end:
        number, following, content = read_field(view, start, end)
        yield number, start, following, content
        start = following


def write_varint(value: int) -> bytes:
    """A non-negative integer as it stands on the wire."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def write_field(number: int, content: bytes) -> bytes:
    """A field with a length."""
    return write_varint(number << 3 | LENGTH_DELIMITED) + write_varint(len(content)) + content
