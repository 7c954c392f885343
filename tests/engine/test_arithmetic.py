"""float32 means float32 on every device; TF32 is for those who ask, on a GPU."""

import pytest
import torch
from nets import convs

from erfscope_contract.problem import ProblemError
from erfscope_contract.request import Dtype
from erfscope_engine import layers_of, measure, network_of
from erfscope_engine.arithmetic import arithmetic, torch_dtype


def switches() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_every_dtype_is_a_torch_dtype() -> None:
    assert [str(torch_dtype(dtype)) for dtype in Dtype] == [
        "torch.float32", "torch.float64", "torch.bfloat16", "torch.float16", "torch.float32",
    ]  # fmt: skip


@pytest.mark.parametrize(("dtype", "shorter"), [(Dtype.FLOAT32, False), (Dtype.BFLOAT16, False), (Dtype.TF32, True)])
def test_products_on_a_gpu_are_shortened_on_request_only(dtype: Dtype, shorter: bool) -> None:
    before = switches()
    with arithmetic(dtype, torch.device("cuda")):
        assert switches() == (shorter, shorter)
    assert switches() == before


def test_the_switches_come_back_after_an_error() -> None:
    before = switches()
    with pytest.raises(ZeroDivisionError), arithmetic(Dtype.TF32, torch.device("cuda")):
        raise ZeroDivisionError
    assert switches() == before


def test_a_measurement_runs_without_tf32_although_torch_would_allow_it() -> None:
    seen: set[tuple[bool, bool]] = set()
    before = switches()
    measure(convs(3), (3, 9, 9), average={"inputs": 1}, progress=lambda stage, share: seen.add(switches()))
    assert before == (False, True)  # torch's own choice
    assert seen == {(False, False)}
    assert switches() == before


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tf32_is_refused_where_there_is_none(device: str) -> None:
    with pytest.raises(ProblemError, match=r"dtype is 'tf32'.*use dtype 'float32'") as caught:
        measure(convs(3), (3, 9, 9), dtype="tf32", device=device)
    assert caught.value.kind == "unsupported-feature"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_has_the_shape_of_the_map(dtype: str) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(convs(3, 3), torch.nn.Tanh(), convs(5))
    half = measure(net, (3, 20, 20), dtype=dtype, average={"inputs": 16})
    single = measure(net, (3, 20, 20), average={"inputs": 16})
    assert half.result.provenance.dtype == dtype
    assert abs(half.map - single.map).max() < 0.05
    assert half.result.erf.size == pytest.approx(single.result.erf.size, rel=0.05)


def test_a_network_is_recorded_on_the_meta_device() -> None:
    """What recording needs of a device that is not there: types and shapes alone."""
    network = network_of(convs(3, 3), (3, 30, 30), device="meta", dtype=torch.bfloat16)
    assert [layer.own_shape for layer in layers_of(network)] == [[3, 30, 30]] * 2
