"""The long search itself: its changes follow the format, and whatever breaks a child is kept and told."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from onnx import ModelProto
from tests.fuzz import search
from tests.fuzz.messages import messages, mutated
from tests.fuzz.test_fuzz import MODELS


def test_changes_are_models_that_parse_and_differ_and_leave_their_seed_alone() -> None:
    random, seed = Random(0), MODELS[0]
    before = seed.SerializeToString()
    made = [mutated(seed, random, 3) for _ in range(50)]
    assert all(len(list(messages(ModelProto.FromString(data)))) >= 1 for data in made)
    assert len(set(made) - {before}) > 40
    assert seed.SerializeToString() == before


def test_every_hostile_file_that_parses_is_a_seed() -> None:
    assert len(search.seeds()) > len(MODELS) + 20


def breaks(data: bytes, folder: Path) -> None:
    raise KeyError("v3")


def ends(data: bytes, folder: Path) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("target", "words"), [(breaks, "KeyError"), (ends, "status -9")])
def test_what_breaks_is_kept_once_for_each_place(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    target: Callable[[bytes, Path], None],
    words: str,
) -> None:
    monkeypatch.setattr(search, "onnx_bytes", target)
    counted = search.search(2.0, 0, tmp_path)
    assert counted["inputs"] == counted["broken"] >= 1
    assert counted["places"] == 1 == len(list(tmp_path.glob("*.onnx")))
    assert words in capsys.readouterr().out
