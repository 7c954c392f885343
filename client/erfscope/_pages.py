"""Lists that come in pages: which call asks for a page, and where its entries are. No network here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from erfscope import _calls
from erfscope._calls import Call
from erfscope._errors import refuse
from erfscope_contract.job import JobKind, ListedFile, ListedJob, ListedModel, Status
from erfscope_contract.series import ListedSeries

T = TypeVar("T")


@dataclass(frozen=True)
class Pages(Generic[T]):
    """A list: `call` of a page token, and the entries of a page."""

    call: Callable[[str | None], Call[Any]]
    entries: Callable[[Any], Sequence[T]]


MODELS: Pages[ListedModel] = Pages(_calls.list_models, lambda page: page.models)
FILES: Pages[ListedFile] = Pages(_calls.list_files, lambda page: page.files)
SERIES: Pages[ListedSeries] = Pages(_calls.list_series, lambda page: page.series)


def jobs(kind: str | None, status: str | None) -> Pages[ListedJob]:
    """Jobs of any kind; raises an ErfscopeError for a kind or a status that there is not."""
    for word, words, name in ((kind, JobKind, "kind"), (status, Status, "status")):
        if word is not None and word not in list(words):
            raise refuse("invalid-request", f"{name} {word!r} is not one of {', '.join(words)}")
    return Pages(partial(_calls.list_jobs, kind, status), lambda page: page.jobs)
