"""What an ending without an answer is called, and whether an answer is one."""

from pydantic import BaseModel

from erfscope_contract.advice import Advice
from erfscope_contract.duration import lasting
from erfscope_contract.fit import Fit
from erfscope_contract.job import Inspection
from erfscope_contract.problem import Problem, ProblemError
from erfscope_contract.result import ErfResult
from erfscope_contract.tiles import Tiles
from erfscope_jobs.records import Kind
from erfscope_jobs.settings import Settings
from erfscope_worker import strict, usage
from erfscope_worker.arrays import compare
from erfscope_worker.harvest import Harvest

SHAPES: dict[Kind, type[BaseModel]] = {
    Kind.ERF: ErfResult,
    Kind.INSPECT: Inspection,
    Kind.ADVICE: Advice,
    Kind.TILES: Tiles,
    Kind.FIT: Fit,
}

EXCESSES = {
    "result": "The answer is too long to be stored: the model has too many layers, or their names are too long. "
    "Shorten the names or cut the model into parts.",
    "figure": "The picture of the answer is too large to be stored; ask for a smaller input.",
    "": "An array of the answer is too large to be stored; ask for fewer units or layers at once.",
}


def check_result(kind: Kind, harvest: Harvest) -> None:
    """Raise ValueError where a result is not of its shape, or its arrays are not of the result."""
    result = SHAPES[kind].model_validate(strict.loads(harvest.result))
    if isinstance(result, ErfResult):
        compare(harvest.checks, result)


def timeout(settings: Settings) -> Problem:
    """It ran too long."""
    seconds = settings.job_seconds
    detail = f"The job ran longer than its {lasting(seconds)}; try fewer samples or a smaller input."
    return ProblemError("timeout", detail, seconds=seconds).problem


def too_large(settings: Settings, excess: str) -> Problem:
    """A part of the answer (`result`, `figure`, or else an array) is larger than may be stored."""
    limit = settings.max_result_bytes if excess else settings.max_array_bytes
    detail = f"{EXCESSES.get(excess, EXCESSES[''])} The limit is {limit} bytes."
    return ProblemError("resource-limit", detail, limit=limit).problem


def too_many_files(settings: Settings) -> Problem:
    """Its folder held more than it may."""
    limit = settings.job_file_bytes
    detail = f"The job wrote more temporary files than it may: {limit} bytes, {usage.MOST_FILES} files; use fewer."
    return ProblemError("resource-limit", detail, limit=limit).problem


def out_of_memory() -> Problem:
    """The kernel killed the child for the machine's sake; running it again would end alike."""
    detail = "The job needed more memory than this worker has; try a smaller input or an earlier layer."
    return ProblemError("resource-limit", detail).problem


def internal() -> Problem:
    """A fault of ours; the log has the traceback."""
    detail = "The measurement failed for a reason that is erfscope's fault; the worker's log has it by job id."
    return ProblemError("internal", detail).problem
