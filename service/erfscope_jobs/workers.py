"""The record that a live worker keeps in the registry, and how its name begins."""

import json
import socket
from dataclasses import asdict, dataclass

from erfscope_jobs.digest import Fingerprint, canonical


def name_of(pid: int) -> str:
    """How the name begins that a worker of this machine has with that process id."""
    return f"{socket.gethostname()}-{pid}-"


@dataclass(frozen=True)
class WorkerInfo:
    """One live worker."""

    name: str
    host: str
    pid: int
    concurrency: int
    busy: int
    fingerprint: Fingerprint
    landlock: int = 0  # level of the jail around jobs: the kernel's Landlock ABI; 0 without a jail

    def to_json(self) -> str:
        """As the registry keeps it."""
        return canonical(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: bytes) -> "WorkerInfo":
        """From the registry."""
        fields = json.loads(text)
        return cls(**{**fields, "fingerprint": Fingerprint(**fields["fingerprint"])})
