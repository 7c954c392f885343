"""Recording does not import torch's compiler, and leaves what does not fit to torch's words."""

import subprocess
import sys

import pytest
from torch import nn

from erfscope_contract.problem import ProblemError
from erfscope_engine import measure

WRONG = {
    "channels": nn.Conv2d(5, 4, 3),
    "groups": nn.Conv2d(8, 4, 3, groups=2),
    "a window larger than the image": nn.Conv2d(6, 4, 20),
    "rows": nn.Sequential(nn.Conv2d(6, 4, 1), nn.Linear(7, 3)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_said_by_torch(name: str) -> None:
    with pytest.raises(ProblemError) as refused:
        measure(WRONG[name].eval(), (6, 9, 8), average={"inputs": 1})
    assert refused.value.kind == "shape-mismatch"


RECORD = """
import sys
from torch import nn
from erfscope_engine import measure
layers = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.GELU()
net = nn.Sequential(*layers)
measure(net.eval(), (1, 28, 28), average={"inputs": 2})
print([name for name in ("torch._dynamo", "torch._inductor", "torchvision", "onnx") if name in sys.modules])
import torch
compiled = torch.compile(net, backend="eager")  # the compiler finds everything as it left it
print(bool((compiled(torch.ones(1, 1, 28, 28)) == net(torch.ones(1, 1, 28, 28))).all()))
"""


def test_recording_does_not_import_the_compiler_and_leaves_it_in_order() -> None:
    ended = subprocess.run([sys.executable, "-c", RECORD], capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines() == ["[]", "True"], ended.stderr
