"""Pieces of a seccomp filter in classic BPF. Each check falls through when it holds and refuses when it does not."""

import errno
import struct
from collections.abc import Iterable

Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, operand
Code = list[Instruction]

LOAD, EQUAL, AT_LEAST, HAS_BITS, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
DENY = ERRNO | errno.EPERM
NO_SUCH_CALL = ERRNO | errno.ENOSYS
INSTRUCTION = struct.Struct("=HBBI")
WORD = 0xFFFFFFFF

REFUSE: Instruction = (RETURN, 0, 0, DENY)
ACCEPT: Instruction = (RETURN, 0, 0, ALLOW)


def low(argument: int) -> int:
    """Offset of an argument's low half (both architectures are little-endian)."""
    return 16 + 8 * argument


def high(argument: int) -> int:
    """Offset of an argument's high half."""
    return low(argument) + 4


def one_of(argument: int, values: Iterable[int], mask: int = WORD) -> Code:
    """The argument's low half, under the mask, is one of these."""
    choices = list(values)
    tests: Code = [(EQUAL, len(choices) - n, 0, value) for n, value in enumerate(choices)]
    return [(LOAD, 0, 0, low(argument)), (AND, 0, 0, mask), *tests, REFUSE]


def not_equal(argument: int, value: int, mask: int) -> Code:
    """The argument's low half, under the mask, is not this."""
    return [(LOAD, 0, 0, low(argument)), (AND, 0, 0, mask), (EQUAL, 0, 1, value), REFUSE]


def no_bits(argument: int, bits: int) -> Code:
    """None of these bits is set in the argument's low half."""
    return [(LOAD, 0, 0, low(argument)), (HAS_BITS, 0, 1, bits), REFUSE]


def null(argument: int) -> Code:
    """The argument is zero in both halves."""
    halves = (low(argument), high(argument))
    return [one for half in halves for one in ((LOAD, 0, 0, half), (EQUAL, 1, 0, 0), REFUSE)]


def unless(argument: int, value: int, checks: Code) -> Code:
    """The checks hold, or the argument's low half is another value."""
    return [(LOAD, 0, 0, low(argument)), (EQUAL, 0, len(checks), value), *checks]


def call(number: int, checks: Code) -> Code:
    """Accept this call when the checks hold; another call goes on behind."""
    return [(EQUAL, 0, len(checks) + 1, number), *checks, ACCEPT]


def packed(code: Code) -> bytes:
    """As the kernel takes it; jumps are one byte each."""
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in code)
