"""Names for questions and answers: what decides a result's bytes, hashed. Knows no torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from erfscope_contract.hashing import sha256_of
from erfscope_jobs.records import Kind


def canonical(value: Any) -> bytes:
    """`value` as JSON in its one spelling: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def question(tenant: str, kind: Kind, model: str, request: Mapping[str, Any], engine: str) -> str:
    """Digest of what is asked: whose, of which model (sha256 or canonical spec), by which engine version."""
    parts = {"tenant": tenant, "kind": kind, "model": model, "request": request, "engine": engine}
    return sha256_of(canonical(parts))


@dataclass(frozen=True, order=True)
class Fingerprint:
    """What of a worker's surroundings decides the bytes of its answers."""

    torch: str
    device: str
    threads: int

    def to_json(self) -> str:
        """In its one spelling."""
        return canonical(asdict(self)).decode()

    def digest(self, question: str) -> str:
        """Name of the answer that such a worker gives to `question`."""
        return sha256_of(canonical([question, asdict(self)]))
