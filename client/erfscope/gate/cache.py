"""Answers on disk under their content address: a model that has not changed is not measured again."""

import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from erfscope_contract.result import ErfResult

VARIABLE = "ERFSCOPE_CACHE_DIR"
KEPT = 60 * 86_400.0  # seconds since its last use after which an answer is dropped
RESULT, PICTURE, MAP = ".json", ".png", ".npz"


@dataclass(frozen=True)
class Answer:
    """A result, and its picture where one was asked for."""

    result: ErfResult
    picture: bytes | None = None
    map: bytes | None = None  # with the picture, to be drawn beside that of a later model: `compressed`
    cached: bool = False


@dataclass(frozen=True)
class Cache:
    """A folder of answers; every write is atomic, so runs may share it."""

    folder: Path

    def get(self, key: str, *, with_picture: bool) -> Answer | None:
        """The answer; None where there is none, or it lacks the picture or its map. A damaged one counts as none."""
        file = self.folder / f"{key}{RESULT}"
        try:
            result = ErfResult.model_validate_json(file.read_bytes())
            picture, heat = (file.with_suffix(end).read_bytes() if with_picture else None for end in (PICTURE, MAP))
        except (OSError, ValidationError):
            return None
        with suppress(OSError):  # a read-only cache still answers
            os.utime(file)
        return Answer(result, picture, heat, cached=True)

    def put(self, key: str, answer: Answer) -> None:
        """Store it; what has not been used for long goes."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for end, content in ((PICTURE, answer.picture), (MAP, answer.map)):
            if content is not None:
                self._write(key + end, content)
        self._write(key + RESULT, answer.result.model_dump_json(by_alias=True).encode())
        self._drop_old()

    def _write(self, name: str, content: bytes) -> None:
        handle, path = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(path, self.folder / name)

    def _drop_old(self) -> None:
        oldest = time.time() - KEPT
        for file in self.folder.glob(f"*{RESULT}"):
            with suppress(FileNotFoundError):  # another run was faster
                if file.stat().st_mtime < oldest:
                    for end in (PICTURE, MAP):
                        file.with_suffix(end).unlink(missing_ok=True)
                    file.unlink()


def default_folder(environment: Mapping[str, str]) -> Path:
    """ERFSCOPE_CACHE_DIR, or the user's cache folder of this platform (~/.cache/erfscope/gate on Linux)."""
    if given := environment.get(VARIABLE):
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("erfscope", appauthor=False) / "gate"
