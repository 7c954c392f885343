"""Weights beside a model: which other files an ONNX file names, and which of them may be read.

An exporter may write `net.onnx` with its tensors in `net.onnx.data`. The model then names that file, and whoever wrote
the model chose the name: it is a name to be matched, never a path to be followed. It may name files in the model's own
folder and below it, and no link that leads out of there.
"""

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from erfscope_contract.hashing import sha256_of
from erfscope_contract.problem import ProblemError

KIND = "external-data"
MOST_FILES = 900  # some exporters write one file for each tensor
MOST_CHARACTERS = 255  # of one name
MOST_LISTED = 5  # names in an error; its context has more
MOST_IN_CONTEXT = 100
ONE_FILE = "export it again with external_data=False, which writes a single file"


def location_of(name: str) -> str:
    """The name that a model gives to a file, in its one spelling: relative to the model's folder, with `/`.

    Raises ProblemError("external-data") for an absolute path, `..`, and a name that is empty, too long, not printable.
    """
    said = repr(name[:MOST_CHARACTERS])
    path = PurePosixPath(name)
    if path.is_absolute() or PureWindowsPath(name).drive or "\\" in name:
        raise refusal(f"{said} is not a name relative to the model's folder", name)
    if ".." in path.parts:
        raise refusal(f"{said} leads out of the model's folder", name)
    if not path.parts or len(name) > MOST_CHARACTERS or not name.isprintable() or '"' in name:
        raise refusal(f"{said} is not a file name of 1 to {MOST_CHARACTERS} printable characters", name)
    return str(path)


def refusal(what: str, *names: str) -> ProblemError:
    """A file beside the model that is not read, and why."""
    detail = (
        f"The model keeps weights in another file: {what}. Save the model anew with its data beside it, or {ONE_FILE}."
    )
    return ProblemError(KIND, detail, files=[name[:MOST_CHARACTERS] for name in names[:MOST_IN_CONTEXT]])


def too_many(count: int) -> ProblemError:
    """A model that names more files than are read."""
    detail = (
        f"The model keeps its weights in {count} other files; at most {MOST_FILES} are read. Otherwise, {ONE_FILE}."
    )
    return ProblemError(KIND, detail, limit=MOST_FILES)


def missing(names: Sequence[str], where: str, remedy: str) -> ProblemError:
    """Files that the model names and that are not there: `where` they were looked for, and one of two ways out."""
    return ProblemError(
        KIND,
        f"The model keeps weights in {listed(names)}, which {'is' if len(names) == 1 else 'are'} not {where}. "
        f"Either {remedy}, or {ONE_FILE}.",
        files=list(names[:MOST_IN_CONTEXT]),
    )


def listed(names: Iterable[str]) -> str:
    """`'a', 'b' and 3 more`."""
    quoted = [repr(name) for name in names]
    more = len(quoted) - MOST_LISTED
    return ", ".join(quoted[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def matched(sent: Collection[str], locations: Sequence[str]) -> dict[str, str]:
    """Which of the files that were sent each location means: the one of its whole name, or of its last component.

    Raises ProblemError("external-data") for a location without a file, and for a file that the model does not name.
    """
    lasts = Counter(PurePosixPath(location).name for location in locations)
    found: dict[str, str] = {}
    for location in locations:
        last = PurePosixPath(location).name  # curl and browsers send no folders
        name = location if location in sent else last
        if name in sent and (name == location or lasts[last] == 1):
            found[location] = name
    if absent := [location for location in locations if location not in found]:
        raise missing(absent, "among the files that came with it", _send(absent))
    if strangers := sorted(set(sent) - set(found.values())):
        raise unnamed(strangers, locations)
    return found


def _send(names: Sequence[str]) -> str:
    """The way out for whoever sends files."""
    return f"send {_them(names)} with the model (a form part `data` of that file name, beside the part `model`)"


def unnamed(strangers: Sequence[str], locations: Sequence[str]) -> ProblemError:
    """Files that came with a model which does not name them."""
    names = f"it names {listed(locations)}" if locations else "it names none"
    return ProblemError(
        KIND,
        f"{listed(strangers)} came with the model, but is not a file that the model names ({names}). "
        "Send only the files that it names, under those names.",
        files=list(strangers[:MOST_IN_CONTEXT]),
    )


def beside(model: Path, names: Iterable[str]) -> dict[str, Path]:
    """The files that a model on this machine names, by location: in its folder or below, links that stay there too.

    A model that is itself a link (as in a download cache) may have its data beside the file that it leads to.
    Raises ProblemError("external-data").
    """
    places = {location: model.parent / location for location in map(location_of, names)}
    if len(places) > MOST_FILES:
        raise too_many(len(places))
    if absent := [location for location, place in places.items() if not os.path.lexists(place)]:
        raise missing(absent, f"in the folder of {model.name}", f"put {_them(absent)} there")
    return {location: _inside(model, location, place) for location, place in places.items()}


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _inside(model: Path, location: str, place: Path) -> Path:
    """The regular file at `place`, links followed; refused where they lead out of the model's folder."""
    try:
        target = place.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # a link to nowhere or to itself
        why = getattr(error, "strerror", None) or error
        raise refusal(f"{location!r} cannot be opened ({why})", location) from None
    if not target.is_relative_to(model.parent.resolve()) and target.parent != model.resolve().parent:
        raise refusal(f"{location!r} is a link that leads out of the model's folder", location)
    if not target.is_file():
        raise refusal(f"{location!r} is not a regular file", location)
    return target


def identity(sha256: str, data: Mapping[str, str]) -> str:
    """The one name of a model and the files beside it: the file's own sha256 if it is alone, else that of all of them.

    `data` has the sha256 of each file by its name.
    """
    if not data:
        return sha256
    parts = {"data": dict(data), "model": sha256}
    return sha256_of(json.dumps(parts, sort_keys=True, separators=(",", ":")))


def identity_of(model: Path, data: Mapping[str, Path]) -> str:
    """`identity` of files on this machine."""
    return identity(sha256_of(model), {name: sha256_of(path) for name, path in data.items()})
