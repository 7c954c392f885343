"""Training on a tiny budget: the data's readers, that a network learns, that what is measured is what was trained."""

from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from erfscope._errors import ErfscopeError
from erfscope_contract.architecture import Architecture, InputSpec
from erfscope_contract.architecture.layers import Conv, Flatten, GlobalAvgPool, Linear
from erfscope_contract.architecture.pointwise import Activation, BatchNorm
from erfscope_contract.presets.article import camvid_resnet16
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.training import classification, fit, segmentation
from erfscope_reproduce.training.pictures import CIFAR_RECORD, cifar10, digits
from erfscope_reproduce.training.scenes import IGNORED, camvid, made, scenes

CLASSES = 10


def tiny() -> Architecture:
    conv = Conv(out_channels=8, kernel_size=3, stride=2, padding=1, bias=False)
    head = [GlobalAvgPool(), Flatten(), Linear(out_features=CLASSES)]
    layers = [conv, BatchNorm(), Activation(type="relu"), Conv(out_channels=8, kernel_size=3), *head]
    return Architecture(name="tiny", input=InputSpec(size=[32, 32]), layers=layers)


def test_digits_are_scaled_and_split() -> None:
    data = digits()
    assert data.images.shape == (1438, 3, 32, 32)
    assert data.images.dtype == np.float32
    assert abs(data.images.mean()) < 1e-3
    assert data.images.std() == pytest.approx(1, abs=1e-3)
    assert set(data.classes.tolist()) == set(data.test_classes.tolist()) == set(range(CLASSES))
    assert len(data.test_images) == 359


def test_a_network_learns_and_ends_frozen() -> None:
    data = digits()
    network = fit.drawn(tiny(), 0)
    batch = (data.images[:64], data.classes[:64])
    start = fit.train(network, repeat(batch), 1, classification._loss, lambda share: None)
    heard: list[float] = []
    end = fit.train(network, repeat(batch), 80, classification._loss, heard.append)
    assert end < start - 0.2
    assert heard[-1] == 1
    weights = [p for m in fit.modules(network) for p in m.parameters()]
    assert not any(weight.requires_grad for weight in weights)
    assert not any(module.training for module in fit.modules(network))


def test_settling_gives_each_norm_the_data_it_sees() -> None:
    data = digits()
    network = fit.drawn(tiny(), 0)
    before = fit.forward(network, data.images[:32])
    fit.settle(network, repeat((data.images[:256], data.classes[:256])), 2)
    (norm,) = [m for m in fit.modules(network) if isinstance(m, torch.nn.BatchNorm2d)]
    seen = fit.modules(network)[0](torch.from_numpy(data.images[:256]))
    assert torch.allclose(norm.running_mean, seen.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(norm.running_var, seen.var((0, 2, 3)), rtol=1e-2)
    assert not torch.allclose(before, fit.forward(network, data.images[:32]))


def test_the_trained_network_is_the_one_that_is_measured(bench: Bench) -> None:
    data = digits()
    network = fit.drawn(tiny(), 0)
    first = bench.measure_network(network, "tiny", list(data.test_images[:4]), inputs=4)
    again = bench.measure_network(network, "tiny", list(data.test_images[:4]), inputs=4)
    assert np.array_equal(first.map, again.map)
    batch = (data.images[:64], data.classes[:64])
    fit.train(network, repeat(batch), 5, classification._loss, lambda share: None)
    later = bench.measure_network(network, "tiny", list(data.test_images[:4]), inputs=4)
    assert not np.array_equal(first.map, later.map)
    assert later.result.provenance.source == "images"


def test_s11_runs_through_its_checkpoints(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "BATCH", 4)
    monkeypatch.setattr(classification, "WIDE", 33)
    moments = classification._run(Bench(quick=True), digits(), 0, (0, 2))
    assert [moment.step for moment in moments] == [0, 2]
    assert all(0 <= moment.accuracy <= 1 for moment in moments)
    rows = [classification._growth_row([moments], view, "erf_size", digits()) for view in classification.VIEWS]
    assert all(np.isfinite(row.ours.value) and row.ours.error for row in rows)
    assert moments[0].shots["noise"].result.trf.size == [73, 73]


def test_s12_reconstruction_has_the_articles_trf(bench: Bench) -> None:
    network = fit.drawn(camvid_resnet16(2), 0)
    source = scenes(None)
    images, truth = next(source.batches((64, 96), 2))
    out = fit.forward(network, images)
    assert out.shape == (2, 11, 4, 6)
    assert torch.isfinite(segmentation.loss(out, torch.from_numpy(truth)))
    shot = bench.measure_network(network, "narrow", inputs=1)
    assert shot.result.trf.size == [505, 505]


def test_made_scenes_repeat_and_hold_shapes() -> None:
    image, classes = made(3, (64, 96))
    assert image.shape == (3, 64, 96)
    assert np.array_equal(image, made(3, (64, 96))[0])
    assert not np.array_equal(image, made(4, (64, 96))[0])
    found = set(np.concatenate([made(k, (64, 96))[1].ravel() for k in range(10)]).tolist())
    assert found == {0, 1, 2, 3, 4}
    assert classes.max() < IGNORED


def test_the_binary_cifar10_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name, count in (("data_batch_1", 4), ("data_batch_2", 3), ("test_batch", 2)):
        raw = draw.integers(0, 256, (count, CIFAR_RECORD), dtype=np.uint8)
        raw[:, 0] = np.arange(count)
        raw.tofile(folder / f"{name}.bin")
    data = cifar10(tmp_path)
    assert data.name == "CIFAR-10"
    assert data.images.shape == (7, 3, 32, 32)
    assert data.classes.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert data.test_images.shape == (2, 3, 32, 32)
    assert data.images.std() == pytest.approx(1, abs=1e-4)


def test_what_is_no_cifar10_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ErfscopeError, match="binary version"):
        cifar10(tmp_path)
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (tmp_path / name).write_bytes(b"short")
    with pytest.raises(ErfscopeError, match="holds 5 bytes"):
        cifar10(tmp_path)


def test_camvid_is_read_and_resized(tmp_path: Path) -> None:
    for part in ("train", "trainannot"):
        (tmp_path / part).mkdir()
    labels = np.zeros((36, 48), np.uint8)
    labels[18:, 24:] = IGNORED
    for name in ("b.png", "a.png"):
        Image.new("RGB", (48, 36), (255, 0, 0)).save(tmp_path / "train" / name)
        Image.fromarray(labels).save(tmp_path / "trainannot" / name)
    source = camvid(tmp_path)
    image, classes = source.scene(5, (18, 24))
    assert image.shape == (3, 18, 24)
    assert image[:, 0, 0].tolist() == [2, -2, -2]
    assert classes[17, 23] == IGNORED
    assert classes[0, 0] == 0
    (tmp_path / "trainannot" / "a.png").unlink()
    with pytest.raises(ErfscopeError, match="trainannot"):
        camvid(tmp_path)
