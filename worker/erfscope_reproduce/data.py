"""The user's data: which folder holds CIFAR-10 and which CamVid, and which claim trains on it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from erfscope._errors import refuse
from erfscope_reproduce.training.pictures import is_cifar10, pickles_hint
from erfscope_reproduce.training.scenes import is_camvid

NAMES = {"camvid": "CamVid", "cifar10": "CIFAR-10"}
RECOGNISED = {"camvid": is_camvid, "cifar10": is_cifar10}
USED_BY = {"camvid": "S12", "cifar10": "S11"}


@dataclass(frozen=True)
class Folders:
    """The folder of each data set; None where it was not given."""

    cifar10: Path | None = None
    camvid: Path | None = None

    @classmethod
    def of(cls, given: Iterable[Path], claims: Sequence[str]) -> "Folders":
        """The data of each folder, for these claims (ids).

        Raises bad-request where a path is not a folder, holds neither data set, holds one that another folder holds
        too, or holds one that none of the claims uses.
        """
        by_kind = dict[str, Path]()
        for folder in given:
            kind = _kind(folder)
            if kind in by_kind:
                raise refuse("bad-request", f"--data {by_kind[kind]} and --data {folder} are both {NAMES[kind]}")
            if USED_BY[kind] not in claims:
                raise refuse(
                    "bad-request",
                    f"--data {folder} is {NAMES[kind]}, which {USED_BY[kind]} trains on, and {USED_BY[kind]} is not "
                    f"measured here: name {USED_BY[kind]} too, or leave out --data {folder}",
                )
            by_kind[kind] = folder
        return cls(**by_kind)


def _kind(folder: Path) -> str:
    if not folder.is_dir():
        raise refuse("bad-request", f"--data {folder} is not a folder")
    for kind, recognised in RECOGNISED.items():
        if recognised(folder):
            return kind
    raise refuse(
        "bad-request",
        f"--data {folder} holds neither the binary version of CIFAR-10 (data_batch_*.bin and test_batch.bin)"
        f"{pickles_hint(folder)} nor CamVid (train/*.png and trainannot/*.png of the same names, the same for test)",
    )


NO_DATA = Folders()
