"""One measurement that a check needs, and its two names: by content (the cache) and by meaning (the baseline)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from erfscope._request import with_model
from erfscope.gate.models import Subject
from erfscope_contract.hashing import sha256_of
from erfscope_contract.request import ErfRequest
from erfscope_contract.version import __version__

# How often is measured, from which seed, and whether a sample is verified, decides how sure an answer is, not what is
# asked.
SAMPLING: Mapping[str, Any] = {"average": {"inputs": True, "seed": True, "until": True}, "verify": True}


@dataclass(frozen=True)
class Question:
    """A model and a request about it."""

    subject: Subject
    request: ErfRequest
    images: Path | None

    @cached_property
    def whole(self) -> ErfRequest:
        """The request with the model in it; raises an ErfscopeError where the two do not go together."""
        return with_model(self.request, self.subject.ref)

    @cached_property
    def digest(self) -> str:
        """Of everything that is asked, every default written out: one digest is one measurement."""
        return _digest(self.whole.model_dump(mode="json"))

    def key(self, answered_by: Mapping[str, str | None]) -> str:
        """Of everything that an answer depends on: the question, and what answers it (see `answered_by`)."""
        return _digest({"question": self.digest, "erfscope": __version__, **answered_by})

    @property
    def identity(self) -> dict[str, Any]:
        """What stays the same when the model's bytes, the seed or the number of samples change."""
        asked = self.request.model_dump(mode="json", exclude_defaults=True, exclude=SAMPLING)
        return {"model": self.subject.label, "request": {name: part for name, part in asked.items() if part != {}}}


def _digest(body: Any) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256_of(text)


def answered_by(url: str | None, version: str | None = None) -> Mapping[str, str | None]:
    """What decides an answer beside its question: a service and the version that it runs, or torch in this process."""
    return {"url": url, "version": version} if url else {"torch": _version_of("torch")}


def _version_of(distribution: str) -> str | None:
    """Read from its metadata, which costs no import; None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
