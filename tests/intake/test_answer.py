"""One request, answered: head-free shapes, re-drawn weights of an ONNX file, memory, inspection, images."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from erfscope_contract.presets import preset
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, InputOptions
from erfscope_intake.answer import Sources, answer, inspect_model
from erfscope_intake.images import load_images, shown
from erfscope_intake.memory import with_less_memory

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
SQUEEZENET = Sources(model=LIGHT / "light_squeezenet.onnx")


def ask(**fields: object) -> ErfRequest:
    return ErfRequest.model_validate({"average": {"inputs": 2}, **fields})


def test_a_classifier_is_measured_at_another_size_up_to_its_head() -> None:
    sources = Sources(model=LIGHT / "light_resnet50.onnx")
    found = answer(ask(input={"shape": [3, 96, 96]}, weights="kaiming_normal"), sources)
    assert found.map.shape == (96, 96)
    assert found.result.layer.shape[1:] == [3, 3]


def test_weights_of_a_file_are_drawn_by_seed_and_draw() -> None:
    one, same, other = (
        answer(ask(weights="kaiming_normal", average={"inputs": 1, "seed": seed}, target={"layer": "r30"}), SQUEEZENET)
        for seed in (1, 1, 2)
    )
    assert one.map.tobytes() == same.map.tobytes()
    assert one.map.tobytes() != other.map.tobytes()
    many = answer(
        ask(weights="kaiming_normal", average={"inputs": 1, "weights": 3}, target={"layer": "r30"}), SQUEEZENET
    )
    assert many.result.samples.used == 3


def test_too_little_memory_is_met_with_a_smaller_plan_then_with_words() -> None:
    asked: list[int | None] = []

    def run(at_most: int | None) -> str:
        asked.append(at_most)
        if at_most is None:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )
        return "done"

    assert with_less_memory(run) == "done"
    assert asked == [None, 1]
    with pytest.raises(ProblemError) as caught:
        with_less_memory(lambda at_most: torch.empty(2**62, dtype=torch.uint8))
    assert caught.value.kind == "resource-limit"
    with pytest.raises(RuntimeError, match="another"):
        with_less_memory(lambda at_most: (_ for _ in ()).throw(RuntimeError("another")))


def test_inspection_of_a_file_and_of_a_spec() -> None:
    assert SQUEEZENET.model is not None
    seen = inspect_model(SQUEEZENET.model, InputOptions())
    assert seen.operators["Conv"] == 26
    assert [row.name for row in seen.layers][-1] == seen.default_layer
    assert seen.inputs[0].shape == [1, 3, 224, 224]
    listed = {row.name for row in seen.layers}
    assert seen.other_names
    assert not listed & set(seen.other_names)
    assert answer(ask(target={"layer": seen.other_names[0]}), SQUEEZENET).result.layer.name in listed
    spec = inspect_model(preset("plain-5-relu"), InputOptions())
    assert spec.layers[-1].trf_size == [11, 11]
    assert spec.layers[-1].trf_stride == [1.0, 1.0]


def picture(size: tuple[int, int], mode: str = "RGB", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def test_images_become_samples(tmp_path: Path) -> None:
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("b.png", picture((40, 30)))
        made.writestr("a.jpg", picture((30, 60), kind="JPEG"))
        made.writestr("../evil.png", picture((8, 8), "L"))
    options = InputOptions.model_validate(
        {"source": "images", "images": "0" * 64, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}
    )
    found = load_images(archive, (3, 24, 32), options)
    assert [image.shape for image in found] == [(3, 24, 32)] * 3
    assert all(image.dtype == np.float32 and abs(image.mean()) < 2.5 for image in found)
    (last,) = load_images(_saved(tmp_path / "one.png", picture((50, 50))), (24, 32, 3), options)
    assert last.shape == (24, 32, 3)


def _saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "invalid-image"),
        (b"GIF89a" + b"\0" * 64, "invalid-image"),
        (picture((64, 64))[:100], "invalid-image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "invalid-image"),
    ],
    ids=["nothing", "GIF", "cut short", "PostScript"],
)
def test_what_is_no_image_is_said(tmp_path: Path, data: bytes, kind: str) -> None:
    options = InputOptions.model_validate({"source": "images", "images": "0" * 64})
    with pytest.raises(ProblemError) as caught:
        load_images(_saved(tmp_path / "file", data), (3, 8, 8), options)
    assert caught.value.kind == kind


def test_an_image_of_too_many_pixels_is_refused_unread(tmp_path: Path) -> None:
    big = _saved(tmp_path / "big.png", picture((6000, 5000), "1"))
    options = InputOptions.model_validate({"source": "images", "images": "0" * 64})
    with pytest.raises(ProblemError) as caught:
        load_images(big, (3, 8, 8), options)
    assert caught.value.kind == "image-too-large"


def test_an_erf_over_real_images(tmp_path: Path) -> None:
    images = _saved(tmp_path / "one.png", picture((61, 61)))
    request = ErfRequest.model_validate(
        {
            "model": {"architecture": preset("plain-5-relu").model_dump(mode="json")},
            "input": {"source": "images", "images": "0" * 64},
            "average": {"inputs": 2},
        }
    )
    found = answer(request, Sources(images=images))
    assert found.result.provenance.source == "images"
    assert found.result.trf.size == [11, 11]
    assert found.result.maps.image
    assert (found.arrays["image"].shape, found.arrays["image"].dtype) == ((*found.map.shape, 3), np.uint8)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_shown_as_it_was_sent(tmp_path: Path, channels: int, last: bool) -> None:
    """The normalisation taken back, whatever it is."""
    sent = np.random.default_rng(0).integers(0, 256, (20, 30, channels), np.uint8)
    np.save(tmp_path / "image.npy", sent)
    shape = (20, 30, channels) if last else (channels, 20, 30)
    scale = {"mean": [0.4] * channels, "std": [0.2, 0.3, 0.5][:channels]}
    options = InputOptions.model_validate({"source": "images", "images": "0" * 64, **scale})
    (sample,) = load_images(tmp_path / "image.npy", shape, options)
    assert np.array_equal(shown(sample, options), np.broadcast_to(sent, (20, 30, 3)))


def test_numbers_that_are_no_colours_are_shown_from_least_to_largest() -> None:
    options = InputOptions.model_validate({"source": "images", "images": "0" * 64})
    sample = np.linspace(-3, 9, 5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
    grey = shown(sample, options)
    assert (grey.min(), grey.max(), grey.shape) == (0, 255, (6, 7, 3))
    assert not shown(np.full((1, 6, 7), 5.0, np.float32), options).any()


@pytest.mark.parametrize(
    ("average", "channels", "used"),
    [
        ({"inputs": 5}, "auto", 2),
        ({"until": {"relative_error": 1e-6, "at_most": 9}}, "sum", 2),
        ({"inputs": 2}, "auto", 2),
        ({"inputs": 5}, "random", 5),
    ],
)
def test_an_image_is_one_sample(tmp_path: Path, average: dict[str, Any], channels: str, used: int) -> None:
    """The same image has the same gradient: counting it often would claim a standard error that is too small."""
    archive = tmp_path / "two.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for n in range(2):
            zipped.writestr(f"{n}.png", picture((61, 61)))
    request = ErfRequest.model_validate(
        {
            "model": {"architecture": preset("plain-5-relu").model_dump(mode="json")},
            "input": {"source": "images", "images": "0" * 64},
            "average": average,
            "target": {"channels": channels},
        }
    )
    found = answer(request, Sources(images=archive)).result
    assert found.samples.used == used
    said = any("more inputs would repeat them" in note for note in found.provenance.notes)
    assert said is (channels != "random" and average != {"inputs": 2})
