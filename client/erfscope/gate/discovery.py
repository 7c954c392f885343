"""Where the configuration is (erfscope.toml or pyproject.toml, here or above), and its errors with file and line."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erfscope._errors import ErfscopeError


class ConfigurationError(ErfscopeError):
    """The gate cannot be run as it is configured; `file` and `line` say where, `all` what else is wrong."""

    def __init__(self, file: Path | str, detail: str, line: int = 1) -> None:
        super().__init__(f"{file}:{line}: {detail}")
        self.file = str(file)
        self.line = line
        self.detail = detail
        self.all: Sequence[ConfigurationError] = (self,)

    @classmethod
    def of(cls, errors: Sequence["ConfigurationError"]) -> "ConfigurationError":
        """Several as one, each once, in the order of their lines."""
        each = {str(one): one for one in sorted(errors, key=lambda one: one.line)}
        whole = cls(errors[0].file, "\n".join(each), next(iter(each.values())).line)
        whole.all = tuple(each.values())
        return whole


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
    def prefix(self) -> str:
        """What stands before the names of its tables: nothing, or `tool.erfscope.`."""
        return "tool.erfscope." if self.file.name == SHARED else ""

    @property
    def header(self) -> str:
        """What its checks are called: `check` or `tool.erfscope.check`."""
        return f"{self.prefix}check"


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
    return source_of(file, _text(file))


def source_of(file: Path, text: str) -> Source:
    """The configuration in a text of `file`, as it is now or was once. Raises ConfigurationError."""
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


def line_of_top(source: Source, key: str) -> int:
    """The line of a key that stands in no table, or of a table's header."""
    opened = re.compile(rf"\s*\[\s*{re.escape(source.prefix + key)}\s*[\].]")
    lines = source.text.splitlines()
    return next((n for n, line in enumerate(lines, 1) if opened.match(line)), 0) or _first(lines, key) or 1


def line_of_default(source: Source, key: str) -> int:
    """The line of a key of `defaults`."""
    start = line_of_top(source, "defaults")
    lines = source.text.splitlines()[start:]
    header = source.prefix + "defaults"
    other = re.compile(rf"\s*\[(?!\s*{re.escape(header)}\.)")
    end = next((n for n, line in enumerate(lines) if other.match(line)), len(lines))
    return start + _first(lines[:end], key, header)


def line_of(text: str, header: str, index: int, key: str | None = None) -> int:
    """The line of `key` in the index-th `[[header]]` table (0 is the first); of the table where it has none."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{re.escape(header)}\s*\]\]", line)]
    if index >= len(starts):  # an inline array of tables, or no table at all
        return _first(lines, header.rpartition(".")[2]) or 1
    start = starts[index]
    end = starts[index + 1] if index + 1 < len(starts) else len(lines)
    return start + 1 + ((_first(lines[start + 1 : end], key, header) or 0) if key else 0)


def _first(lines: list[str], key: str, header: str = "") -> int:
    """1 for the first line that sets the key or opens its table; 0 where none does."""
    name = rf"[\"']?{re.escape(key)}[\"']?"
    setter = re.compile(rf"\s*(?:{name}\s*[.=]|\[\s*{re.escape(header)}\.{name}\s*[\].])")
    return next((n for n, line in enumerate(lines, start=1) if setter.match(line)), 0)
