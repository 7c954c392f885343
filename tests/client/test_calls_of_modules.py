"""A module that a network calls several times: each call has a row, and a name that stands for all says which it is."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from tests.client.command_line import Run
from torch import Tensor, nn
from torch.nn import functional as F


class Heads(nn.Module):
    """One head on three grids."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        fine = self.stem(x)
        middle = F.max_pool2d(fine, 2)
        return self.head(fine), self.head(middle), self.head(F.max_pool2d(middle, 2))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "heads.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(Heads().eval(), (torch.zeros(1, 3, 32, 32),), str(path), dynamo=True, verbose=False)
    return str(path)


def calls(text: str) -> list[tuple[str, str]]:
    """Layer and its call, of the rows that have one."""
    rows = [line for line in text.splitlines() if "(call " in line]
    return [(line.split()[0], line[line.index("head (") : line.index(")") + 1]) for line in rows]


def test_each_call_has_a_row(run: Run, file: str) -> None:
    listed = calls(run("layers", file).stdout.replace(" ← auto", ""))
    assert [call for _, call in listed] == [f"head (call {n} of 3)" for n in (1, 2, 3)]
    fitted = calls(run("fit", file, "--object", "4", "--inputs", "2").stdout)
    assert fitted == listed


def test_the_name_of_the_module_is_its_last_call(run: Run, file: str) -> None:
    result = json.loads(run("measure", file, "--layer", "head", "--inputs", "2", "--json").stdout)
    notes = " ".join(result["provenance"]["notes"])
    assert "Module 'head' is called 3 times, and its name means the last call." in notes
    assert repr(result["layer"]["name"]) + ", in this order" in notes
    stem = json.loads(run("measure", file, "--layer", "stem", "--inputs", "2", "--json").stdout)
    assert "is called" not in " ".join(stem["provenance"]["notes"])
