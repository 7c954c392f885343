"""Advice on five known networks: its tables, its faults and its time, a network at a time.

Usage: python -m benchmarks.advice [NAME ...]

NAMEs are luo-conv, resnet50, unet, tcn and resnet18 (an ONNX file with weights, written to a temporary folder).
Ends with 1 where a table has a fault: among the first three changes a dilation over 8 on one layer, a kernel over 31, a
depth more than doubled or a lattice score over 0.5; or multiply-adds that are not half of torch's own count of FLOPs.
"""

import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from erfscope_contract.advice import Advice, AdviceRequest, Change, Edit
from erfscope_contract.architecture import Architecture
from erfscope_contract.presets import preset
from erfscope_contract.request import InputOptions, Weights
from erfscope_intake.advice import advise
from erfscope_intake.spec import build_network

FIRST = 3  # changes that a reader tries
LIMITS = {"dilation": 8, "kernel_size": 31}
HOLES = 0.5
CAUSAL = {"type": "conv", "out_channels": 16, "kernel_size": 3, "padding": "valid"}
TCN: dict[str, Any] = {
    "name": "tcn", "input": {"channels": 8, "size": [256]}, "init": "kaiming_normal",
    "layers": [layer for n in range(4) for layer in (
        {"type": "pad", "padding": [2 << n, 0]}, {**CAUSAL, "dilation": 1 << n}, {"type": "relu"})],
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A network, the object size in pixels or steps, and the ONNX file where it is one."""

    name: str
    object_size: float
    architecture: Architecture | None = None
    file: Path | None = None

    def request(self, **fields: Any) -> AdviceRequest:
        """What is asked; `fields` as in an AdviceRequest."""
        if self.file is not None:
            model: dict[str, Any] = {"sha256": hashlib.sha256(self.file.read_bytes()).hexdigest()}
        else:
            model = {"architecture": self.architecture}
        return AdviceRequest.model_validate({"model": model, "object_size": self.object_size, **fields})


def cases(folder: Path) -> Iterator[Case]:
    """The five networks; the file is written to `folder` when it is reached."""
    yield Case("luo-conv", 24, preset("luo-conv"))
    yield Case("tcn", 40, Architecture.model_validate(TCN))
    yield Case("unet", 96, preset("unet"))
    yield Case("resnet50", 192, preset("resnet50"))
    yield Case("resnet18", 192, file=_resnet18(folder / "resnet18.onnx"))


def _resnet18(file: Path) -> Path:
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    torch.onnx.export(network, (torch.zeros(1, 3, 224, 224),), file, dynamo=False)
    return file


def faults(case: Case, advice: Advice) -> list[str]:
    """What is wrong with a table, a sentence each."""
    listed = [f"{case.name} has no change"] * (not advice.changes)
    for change in advice.changes[:FIRST]:
        listed += [f"{change.text}: {edit.field} {edit.after}" for edit in change.edits if _is_huge(edit)]
        if (change.lattice or 0.0) > HOLES:
            listed.append(f"{change.text}: lattice score {change.lattice}")
        if change.input_parts is not None or case.architecture is None:
            continue  # of a smaller input the work is reckoned by its area, and a file has no spec to count
        if 2 * change.added_macs != _added_flops(case.architecture, advice, change):
            listed.append(f"{change.text}: {change.added_macs} multiply-adds are not half of torch's FLOPs")
    return listed


def _is_huge(edit: Edit) -> bool:
    after, before = _largest(edit.after), _largest(edit.before)
    if edit.field == "times":
        return after > 2 * before
    return after > LIMITS.get(edit.field, sys.maxsize)


def _largest(words: str) -> int:
    return max((int(word) for word in words.strip("[]").split(",") if word.strip().isdigit()), default=0)


def _added_flops(architecture: Architecture, advice: Advice, change: Change) -> int:
    assert change.architecture is not None  # every change of a spec has its spec, but a smaller input
    return _flops(change.architecture, advice.input_shape) - _flops(architecture, advice.input_shape)


def _flops(architecture: Architecture, shape: list[int]) -> int:
    """FLOPs of one input by torch's counter, on shapes alone."""
    device = torch.device("meta")
    options = InputOptions(shape=shape)
    network = build_network(architecture, options, dtype=torch.float32, device=device, weights=Weights.GIVEN, seed=0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.run(torch.zeros(1, *shape, device=device), lambda name, operator, value: None)
    return int(counter.get_total_flops())


def table(advice: Advice) -> str:
    """The changes as lines."""
    head = f"{advice.layer}: ERF {advice.erf_measured or advice.erf_analytic or 0:.1f} px, wanted {advice.want:g}"
    return "\n".join([head, *(_line(change) for change in advice.changes)])


def _line(change: Change) -> str:
    pretrained = 1.0 if change.weights_kept is None else change.weights_kept  # a share of the weights
    return (
        f"  {change.size:6.1f} px  {change.added_macs / 1e6:+9.1f}M MACs  {change.added_parameters / 1e3:+9.1f}k "
        f"weights  {pretrained:4.0%} stay  lattice {change.lattice or 0:.2f}  {prod(change.layer_shape[1:])} units  "
        f"{change.text}"
    )


def main() -> None:
    """Command line."""
    asked, bad = set(sys.argv[1:]), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(Path(folder)):
            if asked and case.name not in asked:
                continue
            start, cpu = time.monotonic(), time.process_time()
            advice = advise(case.request(), case.file)
            bad += faults(case, advice)
            seconds = f"{time.monotonic() - start:.0f} s, {time.process_time() - cpu:.0f} s of processor time"
            print(f"{case.name} ({seconds}, {advice.tried} tried)\n{table(advice)}", flush=True)
    sys.exit("\n".join(bad) if bad else 0)


if __name__ == "__main__":
    main()
