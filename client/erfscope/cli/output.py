"""A stdout whose reader may leave (`erfscope measure … | head`): the rest is dropped, and the exit code stays."""

import io
import os
import stat
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Pipe(io.FileIO):
    """Writing where nobody reads is as good as done."""

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def forgiving(out: TextIO) -> TextIO:
    """The stream itself, or where it is a pipe one that minds no reader's leaving."""
    try:
        number = out.fileno()
        if not stat.S_ISFIFO(os.fstat(number).st_mode):
            return out
    except (OSError, ValueError):  # a test's, or closed
        return out
    out.flush()
    pipe = io.BufferedWriter(_Pipe(number, "wb", closefd=False))
    return io.TextIOWrapper(pipe, encoding=out.encoding, errors=out.errors)
