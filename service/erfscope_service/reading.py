"""Results as they lie in the store, read again: another version, or a damaged disk, may have written them."""

import logging
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from erfscope_contract.problem import ProblemError

Shape = TypeVar("Shape", bound=BaseModel)
log = logging.getLogger(__name__)


def read_result(shape: type[Shape], job: str, text: bytes) -> Shape:
    """The result of a job; raises `unreadable-result`."""
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        raise unreadable(f"result of job {job!r}", error) from error


def read_array(path: Path) -> NDArray[Any]:
    """A stored array, mapped, so that of a stack only what is used is ever read; raises `unreadable-result`."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise unreadable(f"array {path.name}", error) from error
    return array


def unreadable(what: str, error: Exception) -> ProblemError:
    """What callers see of it; the log has the reason."""
    log.error("the stored %s cannot be read: %s", what, str(error)[:300])
    return ProblemError(
        "unreadable-result",
        f"The stored {what} cannot be read any more: another version of erfscope wrote it, or it is damaged. Remove "
        "the job (DELETE with purge=true) and submit the request again.",
    )
