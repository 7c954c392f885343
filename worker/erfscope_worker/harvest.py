"""What comes out of a child, taken in under limits: progress, parts of the answer, or a problem."""

import contextlib
import math
import re
import time
from typing import Any

from erfscope_contract.job import Timing
from erfscope_contract.problem import KINDS, Problem, ProblemError
from erfscope_jobs.blobs import BlobStore, BlobWriter
from erfscope_jobs.records import Part
from erfscope_jobs.settings import Settings
from erfscope_worker import strict
from erfscope_worker.arrays import ArrayCheck
from erfscope_worker.frames import Frame, FrameError

ARRAY = re.compile(r"array:([a-z0-9_.-]{1,64})")
MOST_ARRAYS = 256
MOST_STAGE = 64
MOST_PARTS = 64
MOST_SAMPLES = 1 << 40
PNG = b"\x89PNG"
# What the child's own work can end with. Requests, keys and outages are not its business.
OF_A_JOB = {kind for kind, row in KINDS.items() if row.of_job}
MOST_ERROR = 20_000  # characters of a traceback: what a hostile child says goes to the log


class Harvest:
    """Fed with frames, of which it trusts nothing. A context: unfinished files go at its end."""

    def __init__(self, settings: Settings, store: BlobStore) -> None:
        self._settings = settings
        self._store = store
        self._open = contextlib.ExitStack()
        self._writers: dict[str, BlobWriter] = {}
        self.checks: dict[str, ArrayCheck] = {}
        self._parts: dict[str, bytearray] = {"result": bytearray(), "figure": bytearray()}
        self._began = self._stage_began = time.monotonic()
        self._seconds: dict[str, float] = {}
        self.stage = ""
        self.share = 0.0
        self.room = 0  # bytes that its arrays take, as far as they came
        self.excess = ""  # the part (result, figure) that is larger than may be stored
        self.done = False
        self.parts: tuple[Part, ...] = ()  # the child asks for shards of these samples
        self.whole = False  # it asks that the job runs in one piece
        self.problem: Problem | None = None
        self.error: str | None = None
        self._take = {
            "progress": self._progress,
            "part": self._part,
            "done": self._done,
            "problem": self._problem,
            "error": self._error,
        }

    def __enter__(self) -> "Harvest":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def take(self, frame: Frame) -> None:
        """One message; raises FrameError, or what the blob store raises."""
        if self.done or frame.type not in self._take:
            raise FrameError(f"an unexpected {frame.type[:MOST_STAGE]!r}")
        try:
            if frame.type != "error":  # its text goes to the log alone, escaped
                strict.check(dict(frame.header))
            self._take[frame.type](frame)
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise FrameError(f"a {frame.type} that cannot be taken: {str(error)[:MOST_STAGE]!r}") from error

    def _progress(self, frame: Frame) -> None:
        stage, share = frame.header.get("stage"), frame.header.get("share")
        if not isinstance(stage, str) or not isinstance(share, int | float) or not math.isfinite(share):
            raise FrameError("a progress that is none")
        if stage[:MOST_STAGE] != self.stage:
            self._end_stage()
            self.stage = stage[:MOST_STAGE]
        self.share = min(max(float(share), 0.0), 1.0)

    def _end_stage(self) -> None:
        now = time.monotonic()
        name = self.stage.partition(" ")[0]  # without its counts: `verify 2 of 5`
        if name and (name in self._seconds or len(self._seconds) < MOST_STAGE):
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._stage_began
        self._stage_began = now

    def _part(self, frame: Frame) -> None:
        name = str(frame.header.get("name"))
        if (part := self._parts.get(name)) is not None:
            limit = self._settings.max_result_bytes
            if len(part) + len(frame.body) > limit:
                self.excess = name
                raise ProblemError("too-large", f"The {name} is over the limit of {limit} bytes.", limit=limit)
            part += frame.body
        elif array := ARRAY.fullmatch(name):
            self.room += len(frame.body)
            writer = self._writer(array.group(1))
            writer.write(frame.body)
            self.checks[array.group(1)].feed(frame.body)
        else:
            raise FrameError("a part of no known name")

    def _writer(self, name: str) -> BlobWriter:
        if name not in self._writers:
            if len(self._writers) >= MOST_ARRAYS:
                raise FrameError(f"more than {MOST_ARRAYS} arrays")
            writer = self._store.open_writer(self._settings.max_array_bytes)
            self._writers[name] = self._open.enter_context(writer)
            self.checks[name] = ArrayCheck()
        return self._writers[name]

    def _done(self, frame: Frame) -> None:
        self._end_stage()
        self.parts = ranges(frame.header.get("parts", ()))
        self.whole = frame.header.get("whole") is True
        for check in self.checks.values():
            check.finish()
        if self.figure and not self.figure.startswith(PNG):
            raise FrameError("a picture that is not a PNG")
        self.done = True

    def _problem(self, frame: Frame) -> None:
        self.problem = rebuilt(Problem.model_validate(frame.header.get("problem")))

    def _error(self, frame: Frame) -> None:
        self.error = str(frame.header.get("text"))[-MOST_ERROR:]

    @property
    def result(self) -> bytes:
        """The answer's JSON."""
        return bytes(self._parts["result"])

    @property
    def figure(self) -> bytes:
        """The default picture."""
        return bytes(self._parts["figure"])

    def commit(self) -> dict[str, str]:
        """Make the arrays durable; their names in the blob store."""
        return {name: writer.commit().sha256 for name, writer in self._writers.items()}

    def timing(self, worker: str, before: float = 0.0) -> Timing:
        """Where the seconds went; `before` are those that shards took."""
        stages = {stage: round(seconds, 4) for stage, seconds in self._seconds.items()}
        shards = {"shards": round(before, 4)} if before else {}
        total = round(before + time.monotonic() - self._began, 4)
        return Timing(seconds=total, stages=shards | stages, worker=worker)


def rebuilt(said: Problem) -> Problem:
    """A problem as our own table has it, with the child's words clipped; raises FrameError for another kind."""
    if said.kind not in OF_A_JOB:
        raise FrameError("a problem that no job has")
    # Built field by field: names in the child's context are not names of arguments.
    row, clipped = KINDS[said.kind], strict.clipped_problem(said)
    return clipped.model_copy(update={"type": f"/problems/{said.kind}", "title": row.title, "status": row.status})


def ranges(said: Any) -> tuple[Part, ...]:
    """The parts that a child wants its samples cut into: from 0 on, each from where the one before ended."""
    try:
        parts = tuple((whole(first), whole(stop)) for first, stop in said)
    except (TypeError, ValueError) as error:
        raise FrameError("parts that are none") from error
    edges = [0, *(stop for _, stop in parts)]
    if len(parts) > MOST_PARTS or any(
        (first, stop) != (at, max(stop, at + 1)) for at, (first, stop) in zip(edges, parts, strict=False)
    ):
        raise FrameError("parts that do not join")
    return parts


def whole(said: Any) -> int:
    """A number of samples."""
    if type(said) is not int or not 0 <= said <= MOST_SAMPLES:
        raise ValueError("a number of samples that is none")
    return said
