"""A trained network at one epoch: its score and its ERF in each view, and how they are stored."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from erfscope_contract.result import ErfResult
from erfscope_reproduce.bench import Shot
from erfscope_reproduce.training.store import replaced


@dataclass(frozen=True)
class Moment:
    """The network after so many steps: its score on the test set, and its ERF in each view."""

    step: int
    accuracy: float
    shots: dict[str, Shot]


def store(moment: Moment, place: Path) -> None:
    """Write the maps beside `place`, then `place` itself: where it is, all of it is."""
    for view, shot in moment.shots.items():
        with replaced(_map_of(place, view)) as partial, partial.open("wb") as file:
            np.save(file, shot.map)
    body = {
        "step": moment.step,
        "accuracy": moment.accuracy,
        "shots": {view: {"how": shot.how, "result": _plain(shot)} for view, shot in moment.shots.items()},
    }
    with replaced(place) as partial:
        partial.write_text(json.dumps(body), "utf-8")


def _plain(shot: Shot) -> object:
    return json.loads(shot.result.model_dump_json())


def stored(place: Path) -> Moment:
    """The moment that `store` wrote."""
    body = json.loads(place.read_text("utf-8"))
    shots = {
        view: Shot(ErfResult.model_validate(one["result"]), np.load(_map_of(place, view)), one["how"])
        for view, one in body["shots"].items()
    }
    return Moment(body["step"], body["accuracy"], shots)


def _map_of(place: Path, view: str) -> Path:
    return place.with_name(f"{place.stem}-{view}.npy")
