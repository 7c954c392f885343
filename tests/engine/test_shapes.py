"""Shapes and memory orders are those of the operators themselves; recording does not import torch's compiler."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from erfscope_engine.recording.shapes import NoShapesError, meta_shapes

aten = torch.ops.aten
X, Y = torch.randn(2, 6, 9, 8), torch.randn(2, 6, 9, 8)
LAST = X.to(memory_format=torch.channels_last)
SAME = [1, 1], [1, 1], [1, 1]
CALLS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "convolution": (aten.convolution.default, (X, torch.randn(4, 6, 3, 2), None, [2, 1], [1], [1, 2], False, [0], 1)),
    "grouped": (aten.convolution.default, (X, torch.randn(6, 2, 3, 3), torch.randn(6), *SAME, False, [0, 0], 3)),
    "transposed": (aten.convolution.default, (X, torch.randn(6, 5, 3, 3), None, [2, 2], [1], [1], True, [1, 0], 1)),
    "channels last": (aten.convolution.default, (LAST, torch.randn(4, 6, 3, 3), None, *SAME, False, [0, 0], 1)),
    "one-dimensional": (aten.convolution.default, (X[0], torch.randn(4, 9, 3), None, [1], [1], [1], False, [0], 1)),
    "relu": (aten.relu.default, (X,)), "relu of channels last": (aten.relu.default, (LAST,)),
    "gelu of a part": (aten.gelu.default, (X[:, 1:4],)), "a transposed one": (aten.sigmoid.default, (X.mT,)),
    "sum": (aten.add.Tensor, (X, Y)), "of two orders": (aten.add.Tensor, (LAST, Y)),
    "broadcast": (aten.mul.Tensor, (X, torch.randn(6, 1, 1))), "outer": (aten.mul.Tensor, (X[:, :1], Y[:1])),
    "with a number": (aten.mul.Tensor, (X, torch.tensor(2.0, dtype=torch.float64))),
    "with a complex number": (aten.mul.Tensor, (X, torch.tensor(2j))),
    "of two types": (aten.add.Tensor, (X, Y.double())), "of integers": (aten.div.Tensor, (X.long(), Y.long())),
    "mm": (aten.mm.default, (X[0, 0], Y[0, 0].t())),
    "addmm": (aten.addmm.default, (Y[0, 0, 0, :6], X[0, 0, :, :6], Y[0, 0, :6, :6])),
    "bmm": (aten.bmm.default, (X[0], Y[0].mT)), "softmax": (aten._softmax.default, (X, 1, False)),
    "layer norm": (aten.native_layer_norm.default, (X.mT, [9], None, None, 1e-5)),
    "layer norm of all": (aten.native_layer_norm.default, (X, [9, 8], Y[0, 0], Y[0, 1], 1e-5)),
    "view": (aten.view.default, (X, [2, 54, 8])), "permuted": (aten.permute.default, (X, [0, 2, 3, 1])),
    "cat": (aten.cat.default, ([X, Y], 1)), "mean": (aten.mean.dim, (X, [2, 3], True)),
    "max pool": (aten.max_pool2d_with_indices.default, (X, [3, 3], [2, 2], [1, 1])),
    "of itself": (aten.clone.default, (LAST,)), "compared": (aten.gt.Tensor, (X, Y)),
}  # fmt: skip


def told(function: Any, arguments: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    fakes = torch.utils._pytree.tree_map_only(Tensor, lambda t: mode.from_tensor(t) if t.dim() else t, arguments)
    return seen(meta_shapes(mode, function, fakes, {}))


def seen(out: Any) -> list[tuple[Any, ...]]:
    return [(tuple(t.shape), t.stride(), t.dtype, t.device) for t in (out if isinstance(out, tuple) else (out,))]


@pytest.mark.parametrize("name", CALLS)
def test_they_are_the_operators(name: str) -> None:
    function, arguments = CALLS[name]
    try:
        answer = told(function, arguments)
    except NoShapesError:
        pytest.skip("left to the mode")
    assert answer == seen(function(*arguments))


WRONG: dict[str, Callable[[], Any]] = {
    "channels": lambda: told(aten.convolution.default, (X, torch.randn(4, 5, 3, 3), None, *SAME, False, [0, 0], 1)),
    "a window larger than the image": lambda: told(
        aten.convolution.default, (X, torch.randn(4, 6, 20, 3), None, *SAME, False, [0, 0], 1)
    ),
    "rows": lambda: told(aten.mm.default, (X[0, 0], Y[0, 0])),
    "broadcast": lambda: told(aten.add.Tensor, (X, torch.randn(5, 1, 1))),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_left_to_torchs_words(name: str) -> None:
    with pytest.raises(NoShapesError):
        WRONG[name]()


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
