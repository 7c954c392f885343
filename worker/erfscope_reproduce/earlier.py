"""An earlier report read again, so that a claim that is measured anew keeps the others beside it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from erfscope._errors import refuse
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.report import SCHEMA_VERSION, Place, environment
from erfscope_reproduce.run import Outcome
from erfscope_reproduce.table import CLAIMS, Claim


@dataclass(frozen=True)
class Earlier:
    """A report as it stands."""

    said: str
    outcomes: dict[str, Outcome]

    @classmethod
    def at(cls, place: Place, *, quick: bool) -> "Earlier":
        """Raises bad-request where there is no report of this version, or it was not made as the rest would be."""
        body = _read(place)
        try:
            _refuse_mixture(body, {"quick": quick, **environment()}, place)
            found = [(claim.id, _outcome(claim, body, place)) for claim in CLAIMS]
            return cls(str(body["command"]), {id: outcome for id, outcome in found if outcome is not None})
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            raise refuse("bad-request", f"--keep: {place.json} is not a whole report: {error!r}") from None

    def command(self, now: str) -> str:
        """What made it, and what makes the rest of it now."""
        return "\n".join([*(line for line in self.said.splitlines() if line != now), now])

    def with_fresh(self, fresh: Sequence[Outcome]) -> list[Outcome]:
        """Every claim of the table that is fresh or stands in the report, in the table's order."""
        new = {outcome.claim.id: outcome for outcome in fresh}
        return [outcome for claim in CLAIMS if (outcome := new.get(claim.id) or self.outcomes.get(claim.id))]


def _read(place: Place) -> dict[str, Any]:
    try:
        body: dict[str, Any] = json.loads(place.json.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise refuse("bad-request", f"--keep: {place.json} is not a report: {error}") from None
    if body.get("schema_version") != SCHEMA_VERSION:
        raise refuse("bad-request", f"--keep: {place.json} was written by another version; run all claims again")
    return body


def _refuse_mixture(body: dict[str, Any], now: dict[str, Any], place: Place) -> None:
    """One report says once what its numbers depend on."""
    then = {"quick": body["quick"], **body["environment"]}
    others = [f"{name} {then.get(name)} and not {value}" for name, value in now.items() if then.get(name) != value]
    if others:
        raise refuse(
            "bad-request", f"--keep: {place.json} was made with {', '.join(others)}; run all claims again, or choose -o"
        )


def _outcome(claim: Claim, body: dict[str, Any], place: Place) -> Outcome | None:
    rows = [_row(row) for row in body["rows"] if row["id"] == claim.id]
    if not rows:
        return None
    pictures = [
        Picture(_name(one["file"]), (place.folder / f"{_name(one['file'])}.png").read_bytes(), one["caption"])
        for one in body["pictures"]
        if one["id"] == claim.id
    ]
    remark = body["remarks"].get(claim.id, "")
    return Outcome(claim, Finding(rows, pictures, remark), body["seconds"].get(claim.id, 0.0))


def _name(file: str) -> str:
    """A picture's name: it lies beside the report, wherever the report says."""
    return PurePath(file).name.removesuffix(".png")


def _row(row: dict[str, Any]) -> Row:
    ours = Quantity(float("nan") if row["ours"] is None else row["ours"], row["error"])
    words = {name: row[name] for name in ("id", "claim", "published", "how", "unit", "note")}
    return Row(ours=ours, verdict=Verdict(row["verdict"]), **words)
