"""What is wrong with a configuration: in which file, at which key, and what to do."""

from pathlib import Path

from erfscope._errors import ErfscopeError


class ConfigurationError(ErfscopeError):
    """The gate cannot be run as it is configured; `file` and `line` say where."""

    def __init__(self, file: Path | str, detail: str, line: int = 1) -> None:
        super().__init__(f"{file}:{line}: {detail}")
        self.file = str(file)
        self.line = line
        self.detail = detail
