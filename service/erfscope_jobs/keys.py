"""API keys: who may call, as which tenant, and for what. Redis keeps the hash of a key, never the key.

A key is `erf_<id>_<secret>`; the secret has 256 random bits, so a plain sha256 of it is as good as a slow hash.
All keys of an installation are one Redis hash by id. It has no TTL: a key holds until it is revoked.
"""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from erfscope_contract.hashing import sha256_of
from erfscope_contract.problem import ProblemError
from erfscope_jobs import rates
from erfscope_jobs.call import Call, Script, plain
from erfscope_jobs.digest import canonical

PUBLIC = "public"
"""The tenant of everyone where no keys are needed."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TOKEN = re.compile(r"erf_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES, _ID_BYTES = 32, 6
_SWAP = Script.of(
    "if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end "
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) return 1"
)


class Scope(StrEnum):
    """What a key opens: the work of its tenant, or the figures of the whole installation."""

    JOBS = "jobs"
    METRICS = "metrics"


@dataclass(frozen=True)
class ApiKey:
    """A key as the service knows it."""

    id: str
    name: str
    tenant: str
    scope: Scope
    created_at: datetime
    sha256: str
    rate: str | None = None
    """Calls that this key may make, as `ERFSCOPE_RATE_LIMIT` writes them; None: as many as that setting says."""

    def to_json(self) -> str:
        """As Redis keeps it; without a rate, as services that know of none can read it."""
        fields = asdict(self) | {"created_at": self.created_at.isoformat()}
        return canonical({name: value for name, value in fields.items() if value is not None}).decode()

    @classmethod
    def from_json(cls, text: bytes) -> "ApiKey":
        """From Redis."""
        fields = json.loads(text)
        created_at = datetime.fromisoformat(fields["created_at"])
        return cls(**{**fields, "scope": Scope(fields["scope"]), "created_at": created_at})

    def opens_with(self, secret: str) -> bool:
        """Whether this is the key's secret; takes the same time for every wrong one."""
        return secrets.compare_digest(self.sha256, _hash(secret))


def issue(
    name: str, tenant: str | None = None, scope: Scope = Scope.JOBS, rate: str | None = None
) -> tuple[ApiKey, str]:
    """A new key and its text, which is shown once; without `tenant` the key has one of its own, by its name.

    Raises:
        ProblemError: `invalid-request` for a name, tenant or rate that is none.
    """
    checked("name", name)
    checked("tenant", tenant or name)
    _check_rate(rate)
    id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    key = ApiKey(id, name, tenant or name, scope, datetime.now(UTC), _hash(secret), rate)
    return key, f"erf_{id}_{secret}"


def checked(what: str, value: str) -> str:
    """A name or tenant as it is; raises `invalid-request` for what cannot be one."""
    if not _NAME.fullmatch(value):
        raise ProblemError(
            "invalid-request",
            f"The {what} {value[:80]!r} is not 1 to 63 of a-z, 0-9, '.', '_' and '-', "
            "beginning with a letter or digit.",
        )
    return value


def _check_rate(rate: str | None) -> None:
    try:
        rates.parse(rate or rates.OFF)
    except ValueError as error:
        raise ProblemError("invalid-request", f"The rate {str(rate)[:80]!r} is not one; it {error}.") from None


def split(token: str) -> tuple[str, str] | None:
    """Id and secret of a key's text; None for what is no key at all."""
    found = _TOKEN.fullmatch(token)
    return (found[1], found[2]) if found else None


def add(space: str, key: ApiKey) -> Call[bool]:
    """Keep a new key; False when its id is taken."""
    return plain(bool, "HSETNX", _place(space), key.id, key.to_json())


def find(space: str, id: str) -> Call[ApiKey | None]:
    """The key of that id."""
    return plain(lambda reply: ApiKey.from_json(reply) if reply else None, "HGET", _place(space), id)


def every(space: str) -> Call[list[ApiKey]]:
    """All keys, oldest first."""
    return plain(_by_age, "HVALS", _place(space))


def change_rate(space: str, key: ApiKey, rate: str | None) -> Call[bool]:
    """Give a key another rate, or None; False when it was revoked or changed meanwhile. Raises `invalid-request`."""
    _check_rate(rate)
    after = replace(key, rate=rate).to_json()
    return Call(_SWAP, (1, _place(space), key.id, key.to_json(), after), bool)


def revoke(space: str, id: str) -> Call[bool]:
    """Forget a key, from the next request on; False when there is none of that id."""
    return plain(bool, "HDEL", _place(space), id)


def _by_age(reply: Sequence[Any]) -> list[ApiKey]:
    return sorted((ApiKey.from_json(text) for text in reply), key=lambda key: key.created_at)


def _place(space: str) -> str:
    return f"{space}:apikeys"


def _hash(secret: str) -> str:
    return sha256_of(secret)
