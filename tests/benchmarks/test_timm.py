"""The matrix of timm's families: choice and re-drawing of networks, what makes a row hold, a run that goes on."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks import timm_matrix
from benchmarks.timm_networks import SIZES, Features, by_parameters, member_of, opened, plain
from benchmarks.timm_page import page
from benchmarks.timm_routes import Row
from benchmarks.timm_verdict import faults, summary
from tests.house.conftest import ROOT
from torch import Tensor, nn


def test_the_member_is_the_smallest_that_runs() -> None:
    architectures = by_parameters("starnet")
    assert [count for count, _ in architectures] == sorted(count for count, _ in architectures)
    member = member_of("starnet")
    assert (member.parameters, member.network) == architectures[0]
    assert member.parameters == sum(p.numel() for p in plain(member.network, SIZES[0]).parameters())
    assert member.shape == (3, 64, 64)
    features = Features(plain(member.network, 64))(torch.zeros(1, *member.shape))
    assert features.shape[2:] == (2, 2)


class Closed(nn.Module):
    """Residual branches as they are before training, and zeros that close nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma, self.pos_embed = nn.Parameter(torch.full((4,), 1e-6)), nn.Parameter(torch.zeros(1, 4, 8, 8))
        self.enter, self.norm, self.mix = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)
        self.gate = nn.Parameter(torch.zeros(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x) + self.pos_embed
        x = x + self.norm(self.mix(x))
        return x + self.gamma[:, None, None] * torch.einsum("ij,njhw->nihw", self.gate, self.mix(x))


def test_closed_branches_are_opened_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    network = Closed().eval()
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    assert opened(network) == 3
    changed = {name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {"gamma", "norm.weight", "gate"}
    for scale in (network.gamma.detach(), network.norm.weight.detach()):
        assert 0.5 <= float(scale.min()) < float(scale.max()) <= 1.5
    x = torch.randn(1, 3, 8, 8, requires_grad=True)
    (g,) = torch.autograd.grad(network(x)[0, 0, 4, 4], x)
    assert int((g[0].abs().sum(0) > 0).sum()) == 25  # two convolutions of 3 × 3 beside the shortcut
    again = Closed().eval()
    assert opened(again) == 3
    assert torch.equal(again.gamma, network.gamma)


GOOD = Row(
    "resnet", "resnet10t", "module", (3, 64, 64), 5, 4, layer="output", grid=(2, 2), unit=(1, 1), trf=(199, 199),
    center=(46.0, 46.0), stride=(32.0, 32.0), chain=(46.0, 46.0), erf=60.0, verify=1e-7, seconds=2.0, versions="timm 1",
)  # fmt: skip
FAULTS = {
    "refused": (replace(GOOD, refused="unsupported-model: x"), "refused: unsupported-model: x"),
    "no verify": (replace(GOOD, verify=None), "the result has no verify"),
    "another gradient": (replace(GOOD, verify=2e-5), "verify is 2.0e-05"),
    "not a number": (replace(GOOD, verify=float("nan")), "verify is nan"),
    "beside the chain": (replace(GOOD, center=(46.0, 46.6)), "centre (46, 46.6), (46, 46) by the strided chain"),
    "another TRF than the chain's": (
        replace(GOOD, chain_trf=(199, 207)),
        "TRF (199, 199), (199, 207) by the strided chain",
    ),
    "another TRF": (replace(GOOD, route="script", trf=(199, 200)), "TRF (199, 200), (199, 199) in process"),
    "another centre": (
        replace(GOOD, route="script", center=(46.0, 45.9)),
        "centre (46, 45.9) of unit (1, 1), (46, 46) of unit (1, 1) in process",
    ),
    "another layer": (
        replace(GOOD, route="dynamo", unit=(1,), center=(46.0,), trf=(199,), chain=None),
        "TRF (199), (199, 199) in process",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_row_that_does_not_hold_says_why(name: str) -> None:
    row, words = FAULTS[name]
    assert faults(row, {"module": GOOD, row.route: row})[0] == words


def test_a_row_that_holds_has_no_faults() -> None:
    rows = {"module": GOOD, "script": replace(GOOD, route="script", layer="133", chain=None)}
    assert [faults(row, rows) for row in rows.values()] == [[], []]
    near = replace(GOOD, center=(46.0, 46.5))
    assert faults(near, {"module": near}) == []
    everywhere = replace(GOOD, chain_trf=(199, 207), trf=(64, 64), is_global=True)  # through an excitation
    assert faults(everywhere, {"module": everywhere}) == []


def test_summary_and_page_count_what_holds() -> None:
    wrong = replace(GOOD, route="script", verify=0.5, chain=None)
    unwritten = replace(GOOD, route="dynamo", not_exported="no shape", center=(), trf=(), chain=None, verify=None)
    none = Row("large", "", "module", refused="large runs at none of 64 to 224 px: too large")
    rows = {"resnet": {"module": GOOD, "script": wrong, "dynamo": unwritten}, "large": {"module": none}}
    told = summary(rows)
    assert told.startswith("1 networks on 2 routes in 4 s: 1 rows hold, 1 do not.")
    assert "resnet10t (script): verify is 5.0e-01" in told
    assert "torch does not export resnet10t (dynamo): no shape" in told
    assert "not part: large: large runs at none of 64 to 224 px: too large" in told
    (line,) = [line for line in page(rows).splitlines() if line.startswith("| resnet")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["resnet", "resnet10t (4 re-drawn)", "3×64×64", "1", "199", "32", "46", "46", "60", "5e-01",
                     "1 of 2", "2"]  # fmt: skip


# Runs the matrix, by command lines of its own, in forks of a process in which autograd never ran: it imports once.
FORKS = """
import json, os, sys, traceback
from benchmarks import timm_matrix
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.stdout = open(os.devnull, "w")
        sys.argv = ["timm_matrix", *json.loads(line)]
        code = 9
        try:
            code = timm_matrix.main()
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def matrix() -> Iterator[Callable[..., int]]:
    """`matrix("--only", …)`: its exit code; its words are on stderr."""
    command = [sys.executable, "-W", "ignore", "-c", FORKS]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        asks, answers = process.stdin, process.stdout
        assert asks is not None
        assert answers is not None

        def run(*options: str) -> int:
            asks.write(json.dumps(options) + "\n")
            asks.flush()
            return int(answers.readline())

        yield run
        asks.close()


def test_a_run_measures_what_its_file_lacks(
    matrix: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    options = ("--json", str(file), "--only", "starnet", "--inputs", "2")
    assert matrix(*options, "--routes", "module") == 0
    (row,) = map(json.loads, file.read_text().splitlines())
    assert (row["network"], row["route"], row["refused"]) == ("starnet_s050", "module", "")
    assert row["verify"] < 1e-5
    assert row["center"] == row["chain"]
    marked = {**row, "seconds": 12345.0}
    file.write_text(json.dumps(marked) + "\n")
    assert matrix(*options, "--routes", "module", "script") == 0
    old, new = map(json.loads, file.read_text().splitlines())
    assert old == marked
    assert (new["route"], new["trf"], new["center"]) == ("script", row["trf"], row["center"])
    monkeypatch.setattr(sys, "argv", ["timm_matrix", "--table", str(file)])  # starts no child: it may run here
    assert timm_matrix.main() == 0
    assert "starnet_s050" in capsys.readouterr().out


def test_a_row_that_takes_too_long_is_a_refusal(matrix: Callable[..., int], tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert matrix("--json", str(file), "--only", "starnet", "--routes", "module", "--limit", "0.01") == 1
    (row,) = map(json.loads, file.read_text().splitlines())
    assert row["refused"] == "over 0 s"
