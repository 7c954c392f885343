"""Where the configuration is: erfscope.toml or pyproject.toml, in this folder or the nearest one above."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erfscope.gate.errors import ConfigurationError

OWN, SHARED = "erfscope.toml", "pyproject.toml"
EXAMPLE = '[[check]]\nmodel = "models/*.onnx"\nerf_size = { min = 96 }'


@dataclass(frozen=True)
class Source:
    """A configuration as it was read: its file, the text (for line numbers), the gate's own table."""

    file: Path
    text: str
    table: dict[str, Any]

    @property
    def root(self) -> Path:
        """The folder that paths in it are relative to."""
        return self.file.parent

    @property
    def header(self) -> str:
        """What its checks are called: `check` or `tool.erfscope.check`."""
        return "tool.erfscope.check" if self.file.name == SHARED else "check"


def find(given: Path | None, start: Path) -> Source:
    """The configuration; raises ConfigurationError where there is none, or it is not TOML."""
    if given is not None:
        if not given.is_file():
            raise ConfigurationError(
                given, "--config names no file; give the path of an erfscope.toml or pyproject.toml"
            )
        return _read(given.absolute())
    for folder in _upward(start.absolute()):
        for name in (OWN, SHARED):
            file = folder / name
            if file.is_file() and (name == OWN or "erfscope" in _tools(file)):
                return _read(file)
    raise ConfigurationError(
        start,
        f"no {OWN} here or above, nor a {SHARED} with [[tool.erfscope.check]]. Write an {OWN}, for example:\n{EXAMPLE}",
    )


def _upward(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.parents


def _read(file: Path) -> Source:
    text = _text(file)
    body = _parse(file, text)
    return Source(file, text, _section(file, body) if file.name == SHARED else body)


def _tools(file: Path) -> dict[str, Any]:
    tool = _parse(file, _text(file)).get("tool")
    return tool if isinstance(tool, dict) else {}


def _section(file: Path, body: dict[str, Any]) -> dict[str, Any]:
    tool = body.get("tool", {})
    section = tool.get("erfscope", {}) if isinstance(tool, dict) else {}
    if not isinstance(section, dict):
        raise ConfigurationError(file, "tool.erfscope must be a table: write [[tool.erfscope.check]]")
    return section


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(file, f"cannot be read: {error}") from None


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigurationError(file, "has brackets within brackets, too many to read; flatten it") from None
    except tomllib.TOMLDecodeError as error:
        digits = str(error).rpartition("line ")[2].partition(",")[0]  # or "(at end of document)"
        line = int(digits) if digits.isdecimal() else len(text.splitlines())
        raise ConfigurationError(file, f"is not TOML: {error}", line) from None
