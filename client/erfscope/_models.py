"""What may be submitted as a model, and how each kind travels.

=====================================  =================================================
`"net.onnx"`, Path, bytes, open file   ONNX; sent with the request, and so are files beside a path that
                                       hold its weights (`net.onnx.data`)
`"spec.json"`, dict, Architecture      an architecture spec; sent inside the request
`"preset:NAME"`                        a spec that ships with erfscope
64 hexadecimal digits, ModelRef,       a model that the service already has
  StoredModel
torch.nn.Module                        exported to ONNX here (needs torch and `input_shape`; of several inputs
                                       a dict of shapes by the names of forward's arguments)
=====================================  =================================================
"""

import io
import json
import re
import shutil
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, BinaryIO, TypeAlias

from pydantic import ValidationError

from erfscope._calls import Content
from erfscope._errors import from_problem, refuse, refuse_invalid
from erfscope._export import InputShape
from erfscope_contract.architecture import Architecture
from erfscope_contract.data_files import identity, missing
from erfscope_contract.job import StoredModel
from erfscope_contract.named_files import data_beside, names_in
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ModelRef

# Any stands for torch.nn.Module, whose type must not be imported here.
Model: TypeAlias = (
    str | PathLike[str] | bytes | BinaryIO | Mapping[str, Any] | Architecture | ModelRef | StoredModel | Any
)
File: TypeAlias = str | PathLike[str] | bytes | BinaryIO
PRESET = "preset:"


@dataclass(frozen=True)
class Prepared:
    """A model ready to travel: as bytes beside the request, or as a reference inside it.

    `data` are the files beside it that hold its weights, each under the name by which the model names it.
    """

    content: Content | None
    ref: ModelRef | None
    name: str
    data: tuple[Content, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the bytes that travel, those of `data` with them: the name that a service gives them."""
        assert self.content is not None  # what is a reference has a name already
        return identity(self.content.sha256, {one.name: one.sha256 for one in self.data})

    @property
    def data_paths(self) -> dict[str, Path]:
        """The files beside a model that is a file, by name."""
        return {one.name: one.source for one in self.data if isinstance(one.source, Path)}


def prepare(model: Model, input_shape: InputShape | None = None) -> Prepared:
    """Look at what was given; raises an `erfscope.ErfscopeError` that says what would do."""
    if (torch := sys.modules.get("torch")) is not None and isinstance(model, torch.nn.Module):
        return _from_module(model, input_shape)
    check_one_shape(input_shape)
    for kinds, reader in _READERS:
        if isinstance(model, kinds):
            return reader(model)
    raise refuse(
        "bad-request",
        f"a {type(model).__name__} is not a model; give a path (.onnx or .json), ONNX bytes, an open binary "
        "file, an architecture (dict or Architecture), 'preset:NAME', a sha256, or a torch.nn.Module",
    )


def read_file(file: File) -> Content:
    """A path, bytes or an open binary file as content to send."""
    if isinstance(file, bytes):
        return Content(file, "upload")
    if isinstance(file, str | PathLike):
        return Content(_existing(Path(file)), Path(file).name)
    return _from_open(file)


def read_spec(path: Path) -> Architecture:
    """An architecture from a JSON file."""
    try:
        return parse_spec(json.loads(path.read_text("utf-8")), path.name)
    except RecursionError:
        raise refuse("invalid-architecture", f"{path} has brackets within brackets, too many to read") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise refuse("invalid-architecture", f"{path} is not JSON: {error}") from None


def parse_spec(spec: Any, name: str = "the spec") -> Architecture:
    """An architecture from its JSON form."""
    try:
        return Architecture.model_validate(spec)
    except ValidationError as error:
        raise refuse_invalid(error, spec, "invalid-architecture", Architecture) from None


def _sent(content: Content) -> Prepared:
    """An ONNX file, with the files that it names."""
    try:
        data = _data(content.source)
    except ProblemError as error:
        raise from_problem(error.problem) from None
    return Prepared(content, None, content.name, data)


def _data(source: bytes | Path) -> tuple[Content, ...]:
    if isinstance(source, Path):
        return tuple(Content(_fetched(path), name) for name, path in data_beside(source).items())
    if names := names_in(source):
        raise missing(names, "at hand where the model is given as bytes", "give the path of its file")
    return ()


def check_one_shape(input_shape: InputShape | None) -> None:
    """Only a module is exported at shapes that are given by name; a file knows those of its other inputs."""
    if isinstance(input_shape, Mapping):
        raise refuse(
            "invalid-request",
            "input_shape by name is for a torch.nn.Module; of a model that is a file or a spec give the shape of the "
            "measured input alone, and its name as input_name",
        )


def _from_module(module: Any, input_shape: InputShape | None) -> Prepared:
    """A large one is written to a temporary folder, its weights beside it, which goes with what is returned."""
    from erfscope._export import export, export_to, is_large

    name = f"{type(module).__name__}.onnx"
    if not is_large(module):
        return _sent(Content(export(module, input_shape), name))
    folder = Path(mkdtemp(prefix="erfscope-"))
    try:
        export_to(module, input_shape, folder / "model.onnx")
        prepared = _sent(Content(folder / "model.onnx", name))
    except BaseException:
        shutil.rmtree(folder)
        raise
    weakref.finalize(prepared, shutil.rmtree, folder, ignore_errors=True)
    return prepared


def _from_spec(architecture: Architecture, name: str = "architecture") -> Prepared:
    return Prepared(None, ModelRef(architecture=architecture), getattr(architecture, "name", None) or name)


def _from_str(text: str) -> Prepared:
    if text.startswith(PRESET):
        return _from_preset(text.removeprefix(PRESET))
    if re.fullmatch(r"[0-9a-f]{64}", text) and not Path(text).exists():
        return Prepared(None, ModelRef(sha256=text), text[:12])
    return _from_path(Path(text))


def _from_preset(name: str) -> Prepared:
    from erfscope_contract.presets import preset

    try:
        return _from_spec(preset(name), name)
    except ProblemError as error:
        raise from_problem(error.problem) from None


def _from_path(path: PathLike[str]) -> Prepared:
    path = _existing(Path(path))
    if path.suffix.lower() == ".json":
        return _from_spec(read_spec(path), path.stem)
    if path.suffix.lower() in _FOREIGN:
        raise refuse("unsupported-media-type", f"{path} is {_FOREIGN[path.suffix.lower()]}")
    return _sent(Content(path, path.name))


_PICKLED = "a pickle, which is never loaded; build the nn.Module and submit that, or export it to ONNX"
_FOREIGN = {
    ".py": "Python: build the nn.Module there and measure it by erfscope_engine.measure, or export it to ONNX",
    ".pt": _PICKLED,
    ".pth": _PICKLED,
    ".ckpt": _PICKLED,
    ".pt2": "a torch export; export the module to ONNX with torch.onnx.export",
    ".safetensors": "weights without a network; load them into the nn.Module and submit that",
    ".h5": "a Keras model; convert it with tf2onnx",
    ".keras": "a Keras model; convert it with tf2onnx",
    ".tflite": "a TensorFlow Lite model; convert it with tf2onnx",
}


def _existing(path: Path) -> Path:
    if not path.is_file():
        found = "is a directory" if path.is_dir() else "does not exist"
        raise refuse("not-found", f"{path} {found}; give the path of a file")
    return _fetched(path)


POINTER, LARGEST_POINTER = b"version https://git-lfs.github.com/spec/", 1024  # as Git LFS specifies it


def _fetched(path: Path) -> Path:
    """The path; refuses what Git LFS left in the place of the file."""
    if path.stat().st_size < LARGEST_POINTER and path.read_bytes().startswith(POINTER):
        raise refuse(
            "bad-request",
            f"{path} is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull` (in a workflow: "
            "`lfs: true` of actions/checkout)",
        )
    return path


def _from_open(file: BinaryIO) -> Content:
    data: object = file.read()
    if not isinstance(data, bytes):
        raise refuse("bad-request", "the file is open in text mode; open it with mode 'rb'")
    return Content(data, Path(str(getattr(file, "name", "upload"))).name)


_READERS: list[tuple[Any, Callable[[Any], Prepared]]] = [
    (str, _from_str),
    (PathLike, _from_path),
    (bytes, lambda data: _sent(Content(data, "model.onnx"))),
    (io.IOBase, lambda file: _sent(_from_open(file))),
    (ModelRef, lambda ref: Prepared(None, ref, (ref.sha256 or "architecture")[:12])),
    (StoredModel, lambda stored: Prepared(None, ModelRef(sha256=stored.sha256), stored.name)),
    (Architecture, _from_spec),
    (Mapping, lambda spec: _from_spec(parse_spec(spec))),
]
