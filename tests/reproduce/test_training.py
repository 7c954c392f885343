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
from erfscope_reproduce.data import Folders
from erfscope_reproduce.finding import Verdict
from erfscope_reproduce.training import classification, fit, runs, segmentation, untrained
from erfscope_reproduce.training.along import Story
from erfscope_reproduce.training.batches import picked
from erfscope_reproduce.training.moments import Moment
from erfscope_reproduce.training.pictures import CIFAR_RECORD, Labelled, cifar10, digits
from erfscope_reproduce.training.recipe import Course
from erfscope_reproduce.training.scenes import IGNORED, camvid, made, made_scenes

CLASSES = 10


def tiny() -> Architecture:
    conv = Conv(out_channels=8, kernel_size=3, stride=2, padding=1, bias=False)
    head = [GlobalAvgPool(), Flatten(), Linear(out_features=CLASSES)]
    layers = [conv, BatchNorm(), Activation(type="relu"), Conv(out_channels=8, kernel_size=3), *head]
    return Architecture(name="tiny", input=InputSpec(size=[32, 32]), layers=layers)


def test_before_training_the_scheme_matters_only_without_statistics_of_the_data() -> None:
    """A convolution's scale is taken out by a normalisation that knows the data, and only by that."""
    conv = {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": "same", "bias": False}
    block = {"type": "residual", "layers": [conv, {"type": "batch_norm"}, {"type": "relu"}]}
    spec = Architecture.model_validate(
        {"name": "net", "input": {"channels": 3, "size": [33, 33]}, "layers": [conv, *[block] * 6]}
    )
    data = digits()
    course = Course(data.name, 1, picked(data, 64), classification.cross_entropy, lambda network: 0.0)
    bench, trial = Bench(quick=True), runs.Trial(spec, course, lambda network, how: {})
    trained = Moment(1, 0.5, {"noise": bench.measure(spec, inputs=1, draws=4, weights="kaiming_normal")})
    story = Story("S12", data.name, [[trained]], {}, "score", "larger")
    rows = untrained.rows_of(bench, story, trial, 33, (7.0, 2.0))
    size = {row.claim: row.ours for row in rows if row.unit == "px"}
    growth = [row for row in rows if row.unit == "times"]
    assert [row.verdict for row in growth[:1] + growth[-1:]] == [Verdict.UNDECIDED, Verdict.CONFIRMED]
    assert {row.verdict for row in rows if row.published == "about 7"} >= {Verdict.CONFIRMED}
    fresh, settled = (
        [size[name].value for name in size if words in name] for words in (untrained.AS_MADE, untrained.OF_DATA)
    )
    assert len(fresh) == len(settled) == len(untrained.SCHEMES)
    assert fresh[-1] < 0.8 * fresh[0], "small weights: shortcuts outweigh the branches"
    assert max(settled) < 1.2 * min(settled)


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
    start = fit.train(network, repeat(batch), 1, classification.cross_entropy, lambda share: None)
    heard: list[float] = []
    end = fit.train(network, repeat(batch), 80, classification.cross_entropy, heard.append)
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
    fit.train(network, repeat(batch), 5, classification.cross_entropy, lambda share: None)
    later = bench.measure_network(network, "tiny", list(data.test_images[:4]), inputs=4)
    assert not np.array_equal(first.map, later.map)
    assert later.result.provenance.source == "images"


def test_s11_runs_through_its_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "BATCH", 4)
    monkeypatch.setattr(classification, "WIDE", 33)
    quick = Bench(quick=True)
    moments = runs.short(quick, classification.trial_of(quick, digits(), None), 0, (0, 2))
    assert [moment.step for moment in moments] == [0, 2]
    assert all(0 <= moment.accuracy <= 1 for moment in moments)
    story = Story("S11", "digits", [moments], classification.VIEWS, "accuracy", "larger")
    rows = story.rows()
    assert len(rows) == 7
    assert all(np.isfinite(row.ours.value) and row.ours.error for row in rows)
    assert moments[0].shots["noise"].result.trf.size == [73, 73]


def test_s12_reconstruction_has_the_articles_trf(bench: Bench) -> None:
    network = fit.drawn(camvid_resnet16(2), 0)
    data = made_scenes((64, 96), 2, 1)
    out = fit.forward(network, data.images)
    assert out.shape == (2, 11, 4, 6)
    weights = segmentation.class_weights(data.classes)
    assert torch.isfinite(segmentation.loss(out, torch.from_numpy(data.classes), weights))
    shot = bench.measure_network(network, "narrow", inputs=1)
    assert shot.result.trf.size == [505, 505]


def test_scores_of_pixels_lie_on_lines_between_the_units() -> None:
    out = torch.arange(3.0)[None, None, :, None] * 16 + 100 * torch.arange(2.0) * 16
    full = segmentation.per_pixel(out, 40, 32)[0, 0].numpy()
    ys, xs = np.mgrid[:40, :32]
    assert np.allclose(full, np.minimum(ys, 32) + 100 * np.minimum(xs, 16))


def test_rare_classes_weigh_more() -> None:
    classes = np.zeros((2, 10, 10), np.int64)
    classes[0, 0, 0], classes[1] = 3, IGNORED
    weights = segmentation.class_weights(classes)
    assert weights[0] == pytest.approx(1 / np.log(1.02 + 0.99))
    assert weights[3] == pytest.approx(1 / np.log(1.02 + 0.01))
    assert len(weights) == IGNORED


def test_mean_iou_is_counted_over_all_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = np.array([[[0, 0, 1, 1]], [[1, 1, 2, IGNORED]]])
    named = np.array([[[0, 1, 1, 1]], [[1, 1, 1, 5]]])
    scores = torch.nn.functional.one_hot(torch.from_numpy(named), IGNORED).permute(0, 3, 1, 2).float()
    monkeypatch.setattr(segmentation.fit, "forward", lambda network, images: scores)
    monkeypatch.setattr(segmentation, "per_pixel", lambda out, height, width: out)
    data = Labelled("two", *([np.zeros((2, 3, 1, 4), np.float32), truth] * 2))
    network = fit.drawn(camvid_resnet16(2), 0)
    assert segmentation.mean_iou(network, data) == pytest.approx((1 / 2 + 4 / 6 + 0) / 3)


def test_s12_trains_on_camvid_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, count in (("train", 9), ("test", 3)):
        for number in range(count):
            image, classes = made(number, (48, 64))
            for folder, array in (
                (part, (image.transpose(1, 2, 0) * 50 + 128).clip(0, 255)),
                (f"{part}annot", classes),
            ):
                (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(tmp_path / "data" / folder / f"{number}.png")
    for name, value in {"SIZE": (48, 64), "CROP": (32, 48), "BATCH": 1, "WIDE": 65}.items():
        monkeypatch.setattr(segmentation, name, value)
    monkeypatch.setattr(segmentation, "camvid_resnet16", lambda width: camvid_resnet16(2))
    bench = Bench(quick=False, data=Folders(camvid=tmp_path / "data"), resume=tmp_path / "kept", epochs=1)
    finding = segmentation.segmentation(bench)
    verdicts = {row.claim: row for row in finding.rows}
    score = next(row for claim, row in verdicts.items() if claim.startswith("mean IoU"))
    assert 0 <= score.ours.value <= 1
    assert score.note == "3 test images of CamVid, 48×64, 5 classes"
    assert len(list((tmp_path / "kept").glob("camvid-resnet16-1-epochs-seed-0-*/epoch-*.json"))) == 2
    again = segmentation.segmentation(bench)
    assert [row.ours for row in again.rows] == [row.ours for row in finding.rows]


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
    labels = np.zeros((36, 48), np.uint8)
    labels[18:, 24:] = IGNORED
    for part in ("train", "test"):
        for folder in (part, f"{part}annot"):
            (tmp_path / folder).mkdir()
        for name in ("b.png", "a.png"):
            Image.new("RGB", (48, 36), (255, 0, 0)).save(tmp_path / part / name)
            Image.fromarray(labels).save(tmp_path / f"{part}annot" / name)
    data = camvid(tmp_path, (18, 24))
    assert data.images.shape == data.test_images.shape == (2, 3, 18, 24)
    assert data.images[0, :, 0, 0].tolist() == [2, -2, -2]
    assert data.classes[1, 17, 23] == IGNORED
    assert data.classes[1, 0, 0] == 0
    (tmp_path / "testannot" / "a.png").unlink()
    with pytest.raises(ErfscopeError, match="testannot"):
        camvid(tmp_path, (18, 24))
