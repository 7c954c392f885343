"""What a check of a program says: what is wrong with it, and counts of what it found."""

from dataclasses import dataclass

from erfscope_contract.problem import ProblemError


class CheckError(AssertionError):
    """A program that fails: `kind` is map, twin, narrow, wide, center, changed or refused."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(f"{kind}: {words}")
        self.kind = kind


def refused(error: Exception) -> CheckError:
    """Something that the engine does not do, though autograd can."""
    name = error.kind if isinstance(error, ProblemError) else type(error).__name__
    return CheckError("refused", f"{name}: {' '.join(str(error).split())}")


@dataclass
class Tally:
    """Units whose field is exact or wide (holes, mixed axes), those compared on a canvas; programs without gradient."""

    exact: int = 0
    wide: int = 0
    canvases: int = 0
    dead: int = 0

    def add(self, other: "Tally") -> None:
        """Count another program's too."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)
