"""Advice, tiles and fit of sound and volumes: lengths in samples or voxels, or in seconds and millimetres."""

import json
from pathlib import Path

import pytest
from tests.client.command_line import Run

SOUND = {
    "name": "sound",
    "input": {"channels": 1, "size": [64]},
    "layers": [
        {"type": "conv", "name": "first", "out_channels": 2, "kernel_size": 5, "padding": "same"},
        {"type": "conv", "name": "second", "out_channels": 2, "kernel_size": 5, "padding": "same"},
    ],
}


@pytest.fixture
def sound(tmp_path: Path) -> str:
    path = tmp_path / "sound.json"
    path.write_text(json.dumps(SOUND))
    return str(path)


def test_a_fit_in_seconds(run: Run, sound: str) -> None:
    command = ("fit", sound, "--object", "4", "--inputs", "2")
    plain, timed = run(*command).stdout, run(*command, "--rate", "1000").stdout
    assert "4 samples" in plain.splitlines()[0]
    assert "sizes in samples" in plain
    assert "px" not in plain
    head, row = timed.splitlines()[0], next(line for line in timed.splitlines() if line.startswith("second"))
    assert "0.004 s" in head
    assert "stride (s)" in head
    assert "ERF (s)" in head
    assert "0.009" in row, "the TRF of 9 samples"
    assert "sizes in seconds" in timed


def test_advice_in_seconds(run: Run, sound: str) -> None:
    command = ("advise", sound, "--object", "10", "--verify", "1", "--inputs", "2")
    plain, timed = run(*command).stdout, run(*command, "--rate", "1000").stdout
    assert "ERF (samples)" in plain
    assert "px" not in plain
    assert "ERF (s)" in timed
    assert "objects of 0.01 s, so an ERF of 0.015 s" in timed
    assert "TRF 0.009" in timed


def test_tiles_in_seconds(run: Run, sound: str) -> None:
    command = ("tiles", sound, "--tile", "32")
    plain, timed = run(*command).stdout, run(*command, "--rate", "1000").stdout
    assert "Tiles, in samples" in plain
    assert "px" not in plain
    told = " ".join(timed.split())
    assert "x, s 0.032 0.001 0.004 0.004 0.004:0.028 0.024 0.004 + 0.004" in told


@pytest.mark.parametrize("command", [("fit", "--object", "4"), ("advise", "--want", "4"), ("tiles", "--tile", "16")])
def test_a_spacing_is_in_millimetres_and_a_rate_is_of_sound(run: Run, spec: Path, command: tuple[str, ...]) -> None:
    name, *flags = command
    assert "mm" in run(name, str(spec), *flags, "--spacing", "0.5").stdout
    refused = run(name, str(spec), *flags, "--rate", "1000")
    assert refused.returncode == 2
    assert "--rate" in refused.stderr


def test_a_comparison_in_seconds(run: Run, sound: str, tmp_path: Path) -> None:
    command = ("compare", sound, f"other={sound}", "--inputs", "2")
    plain = run(*command).stdout
    timed = run(*command, "--rate", "1000", "-o", str(tmp_path / "both.pdf")).stdout
    first, second = (next(line for line in text.splitlines() if line.startswith("TRF size")) for text in (plain, timed))
    assert first.split()[2:] == ["samples", "9", "9"]
    assert second.split()[2:] == ["s", "0.009", "0.009"]
    assert (tmp_path / "both.pdf").exists()
