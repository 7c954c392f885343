"""Weights that nobody has trained are noted where a measurement depends on them, and only there."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.onnx import TrainingMode

from erfscope_contract.advice import AdviceRequest
from erfscope_contract.fit import FitRequest
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_contract.tiles import TilesRequest
from erfscope_intake.advice import advise
from erfscope_intake.answer import Sources, answer, inspect_model
from erfscope_intake.fit import fit
from erfscope_intake.tiles import tile

STORED = {"sha256": "0" * 64}
NOTE = "These weights look untrained"


def layers(*, norms: bool) -> nn.Sequential:
    """Four convolutions with their starting weights."""
    torch.manual_seed(3)
    parts: list[nn.Module] = []
    for inputs, outputs in ((3, 12), (12, 12), (12, 12), (12, 12)):
        norm = [nn.BatchNorm2d(outputs)] if norms else []
        parts += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norms), *norm, nn.ReLU()]
    return nn.Sequential(*parts)


def trained(net: nn.Sequential) -> nn.Sequential:
    """After some steps of training: statistics, weights and biases have moved."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(8):
        x = torch.randn(4, 3, 24, 24, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (net(x) - x.mean(1, keepdim=True)).square().sum().div(1000).backward()
        optimizer.step()
    return net.eval()


def saved(net: nn.Module, path: Path, *, folded: bool = False) -> Path:
    """An ONNX file of these weights as they are; `folded`: its normalisations become part of the convolutions."""
    mode = TrainingMode.EVAL if folded else TrainingMode.PRESERVE
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(
            net.eval(), (torch.zeros(1, 3, 24, 24),), str(path), dynamo=False, verbose=False, training=mode,
            input_names=["input"], output_names=["y"],
        )  # fmt: skip
    return path


def notes(path: Path, **fields: object) -> str:
    asked = {"model": STORED, "average": {"inputs": 2}, **fields}
    return " ".join(answer(ErfRequest.model_validate(asked), Sources(path), device="cpu").result.provenance.notes)


def kaiming(net: nn.Sequential) -> nn.Sequential:
    """Kaiming normal weights, biases 0."""
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return net


@pytest.mark.parametrize(
    ("net", "folded", "why"),
    [
        (layers(norms=True), False, "all batch normalisations have the values that they start with"),
        (layers(norms=True), True, "all layers have weights and biases as a usual initialisation draws them"),
        (layers(norms=False), False, "all layers have weights and biases as a usual initialisation draws them"),
        (kaiming(layers(norms=False)), False, "all layers have weights and biases as a usual initialisation draws"),
    ],
)
def test_untrained_weights_are_noted(net: nn.Sequential, folded: bool, why: str, tmp_path: Path) -> None:
    words = notes(saved(net, tmp_path / "net.onnx", folded=folded))
    assert f"{NOTE}: {why}" in words
    assert "--weights" in words


@pytest.mark.parametrize(("norms", "folded"), [(True, False), (True, True), (False, False)])
def test_trained_weights_are_not(norms: bool, folded: bool, tmp_path: Path) -> None:
    net = trained(layers(norms=norms))
    assert NOTE not in notes(saved(net, tmp_path / "net.onnx", folded=folded))


def test_one_layer_that_moved_is_enough(tmp_path: Path) -> None:
    """A trained backbone under a fresh head, or the other way round: nothing is certain."""
    half = layers(norms=True).train()
    half[0:3](torch.randn(4, 3, 24, 24))
    assert NOTE not in notes(saved(half.eval(), tmp_path / "norms.onnx"))
    plain = layers(norms=False)
    first = plain[0]
    assert isinstance(first, nn.Conv2d)
    first.weight.data[0, 0, 0, 0] = 3.0
    assert NOTE not in notes(saved(plain, tmp_path / "plain.onnx"))


def test_it_is_told_where_the_weights_count(tmp_path: Path) -> None:
    path = saved(layers(norms=True), tmp_path / "net.onnx")
    assert NOTE not in notes(path, weights="kaiming_normal"), "drawn on purpose"
    fitted = fit(FitRequest.model_validate({"model": STORED, "samples": 2, "objects": [4]}), path)
    advice = advise(AdviceRequest.model_validate({"model": STORED, "samples": 2, "want": 4, "verify": 1}), path)
    tiles = tile(TilesRequest.model_validate({"model": STORED, "tile": 24}), path)
    inspection = inspect_model(path, InputOptions())
    counted = [sum(NOTE in note for note in one.notes) for one in (fitted, advice, tiles, inspection)]
    assert counted == [1, 1, 1, 0], "tiles measure what less than the halo costs"
