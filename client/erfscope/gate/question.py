"""From what a check names to its models and measurements, each known by content (cache) and by meaning (baseline)."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from erfscope._models import PRESET, Prepared, prepare
from erfscope._request import with_model
from erfscope.gate.config import Check, Gate
from erfscope.gate.discovery import ConfigurationError
from erfscope.gate.rules import close
from erfscope_contract.hashing import sha256_of
from erfscope_contract.request import ErfRequest, ModelRef
from erfscope_contract.version import __version__

ENDINGS = (".onnx", ".json")  # what a glob takes; a path that is written out is taken as it is
SHA256 = r"[0-9a-f]{64}"
WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Subject:
    """One model of a check: what people call it, and what it is: a file, a preset, or a reference."""

    label: str
    source: Path | str | ModelRef

    @property
    def path(self) -> Path | None:
        """Where it is, where it is a file."""
        return self.source if isinstance(self.source, Path) else None

    @cached_property
    def prepared(self) -> Prepared:
        """Ready to travel; raises an ErfscopeError that says what is wrong with it."""
        return prepare(self.source)

    @cached_property
    def ref(self) -> ModelRef:
        """The model by its content: sha256 of the file and of those beside it, or the whole spec."""
        return self.prepared.ref or ModelRef(sha256=self.prepared.sha256)


def subjects(gate: Gate, check: Check) -> list[Subject]:
    """The models of a check, each once, in the order they are named; raises ConfigurationError where there is none."""
    found, missing = found_and_missing(gate, check)
    for complaint in missing.values():
        raise complaint
    return found


def found_and_missing(gate: Gate, check: Check) -> tuple[list[Subject], dict[str, ConfigurationError]]:
    """The models of a check, and what is wrong with each of its names that has none."""
    found: dict[str, Subject] = {}
    missing: dict[str, ConfigurationError] = {}
    for pattern in check.models:
        try:
            one_by_one = list(matched(gate.root, gate.baseline, pattern))
        except (OSError, ValueError) as error:  # a name that no file can have
            words = error.strerror if isinstance(error, OSError) else error
            missing[pattern] = check.complaint(f"model {pattern[:100]!r} is no path: {words}", "model")
            continue
        if not one_by_one:
            missing[pattern] = check.complaint(_nothing(gate, pattern), "model")
        found |= {one.label: one for one in one_by_one}
    return list(found.values()), missing


def chosen(all_subjects: Sequence[Subject], paths: Sequence[Path]) -> list[Subject]:
    """Those at one of the paths, in a folder that is one of them, or of that name; all where no paths are given."""
    wanted, labels = [path.resolve() for path in paths], {str(path) for path in paths}
    return [
        one
        for one in all_subjects
        if not wanted or (_is_within(one.path.resolve(), wanted) if one.path else one.label in labels)
    ]


def is_file_name(label: str) -> bool:
    """Whether a model of this name is a file: no preset, and no sha256 of one that the service has."""
    return not label.startswith(PRESET) and re.fullmatch(SHA256, label) is None


def _is_within(path: Path, wanted: Sequence[Path]) -> bool:
    return any(path == one or one in path.parents for one in wanted)


def matched(root: Path, baseline: Path, pattern: str) -> Iterator[Subject]:
    """The models that a name finds: itself, or the files of a pattern below `root`, without the baseline's."""
    if pattern.startswith(PRESET) or _is_stored(root, pattern):
        yield Subject(pattern, pattern)
        return
    if not WILD.search(pattern) or (root / pattern).is_file():
        if (root / pattern).is_file():
            yield Subject(Path(pattern).as_posix(), root / pattern)
        return
    named, wild = _split(pattern)
    folder = root / named  # the same where the pattern is absolute
    for path in sorted(folder.glob(str(wild))):
        inside = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in inside.parts)  # a cache or a forge's folder
        is_there = path.is_file() or (path.is_symlink() and not path.exists())  # a link to nothing is a broken model
        if is_there and path.suffix.lower() in ENDINGS and path != baseline and not is_hidden:
            yield Subject((named / inside).as_posix(), path)


def _split(pattern: str) -> tuple[Path, Path]:
    """The folder that a pattern names outright (`..`, `/models`), and the rest, which has the wild cards."""
    parts = Path(pattern).parts
    first = next(n for n, part in enumerate(parts) if WILD.search(part))
    if odd := [part for part in parts if "**" in part and part != "**"]:
        raise ValueError(f"** stands alone between slashes, for any folders; in {odd[0]!r} write a single *")
    return Path(*parts[:first]), Path(*parts[first:])


def _is_stored(root: Path, pattern: str) -> bool:
    return re.fullmatch(SHA256, pattern) is not None and not (root / pattern).exists()


def _nothing(gate: Gate, pattern: str) -> str:
    if WILD.search(pattern):
        return f"model {pattern!r} matches no {' or '.join(ENDINGS)} file; paths are relative to {gate.root}"
    if (gate.root / pattern).is_dir():
        return f"model {pattern!r} is a directory in {gate.root}; name a file of it, or all by a pattern such as *.onnx"
    advice = like(pattern, beside(gate.root, pattern)) or "paths are relative to the configuration"
    return f"model {pattern!r} does not exist in {gate.root}; {advice}"


def beside(root: Path, name: str) -> list[str]:
    """The models in the folder of a file that may be missing, as a check names them."""
    folder = Path(name).parent
    try:
        files = sorted((root / folder).iterdir())
    except (OSError, ValueError):  # no such folder
        return []
    return [(folder / one.name).as_posix() for one in files if one.suffix.lower() in ENDINGS]


def like(name: str, models: Iterable[str]) -> str:
    """`did you mean models/a.onnx?`: of these models the one whose file's name is near; empty where none is."""
    by_stem = {Path(model).stem: model for model in models}
    near = close(Path(name).stem, by_stem)
    return f"did you mean {' or '.join(by_stem[stem] for stem in near)}?" if near else ""


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
        return key_of(self.digest, answered_by)

    @property
    def identity(self) -> dict[str, Any]:
        """What stays the same when the model's bytes, the seed or the number of samples change."""
        asked = self.request.model_dump(mode="json", exclude_defaults=True, exclude=SAMPLING)
        return {"model": self.subject.label, "request": {name: part for name, part in asked.items() if part != {}}}


def key_of(digest: str, answered_by: Mapping[str, str | None]) -> str:
    """`Question.key` of the question with this digest."""
    return _digest({"question": digest, "erfscope": __version__, **answered_by})


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
