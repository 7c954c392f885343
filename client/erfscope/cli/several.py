"""Several models measured under one request, each with its weights, here or by a service."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from erfscope import _local
from erfscope._client import Client
from erfscope._errors import refuse
from erfscope._models import Prepared, prepare
from erfscope._request import build
from erfscope._result import Result
from erfscope_contract.hashing import sha256_of
from erfscope_contract.request import Weights
from erfscope_contract.text import for_terminal

Progress = Callable[[str, float], None]
# Words of papers for what the request calls by its scheme.
WORDS: Mapping[str, Weights] = {
    **{scheme.value: scheme for scheme in Weights},
    "random": Weights.KAIMING_NORMAL,
    "trained": Weights.GIVEN,
}


@dataclass(frozen=True)
class Entry:
    """A model of a comparison; `weights` is the word after the @, None where there is none."""

    prepared: Prepared
    weights: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What this model's request has beside the common one."""
        return {} if self.weights is None else {"weights": WORDS[self.weights].value}


def entry(text: str) -> Entry:
    """`net.onnx`, or `net.onnx@random` for other weights; a file that has an @ in its name is that file."""
    model, at, weights = text.rpartition("@")
    if not at or Path(text).is_file():
        return Entry(prepare(text))
    if weights not in WORDS:
        raise refuse("bad-request", f"{text}: there are no weights {weights!r}; there are {', '.join(WORDS)}")
    return Entry(prepare(model), weights)


def measure_all(
    entries: Sequence[Entry], fields: Mapping[str, Any], images: Path | None, client: Client | None, progress: Progress
) -> list[Result]:
    """One result per model, in order."""
    if client is None:
        digest = sha256_of(images) if images else None
        return [
            _local.measure(
                one.prepared, build(None, {**fields, **one.fields}, digest), images,
                partial(_part, progress, n, len(entries)),
            )
            for n, one in enumerate(entries)
        ]  # fmt: skip
    jobs = [
        client.submit(_sent(one.prepared), images=images, **{**fields, **one.fields}) for one in entries
    ]  # all are at work before the first is waited for
    print(f"jobs {', '.join(job.id for job in jobs)}", file=sys.stderr)
    for note in dict.fromkeys(job.job.note for job in jobs if job.job.note):
        print(f"note: {for_terminal(note)}", file=sys.stderr)
    return [job.result(progress=partial(_part, progress, n, len(jobs))) for n, job in enumerate(jobs)]


def _sent(model: Prepared) -> Any:
    return model.ref if model.content is None else model.content.source


def _part(progress: Progress, n: int, of: int, stage: str, share: float) -> None:
    progress(stage, (n + share) / of)
