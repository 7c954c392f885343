"""A training by epochs: its schedule, its batches, and that a stopped one goes on as if it had not been stopped."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from erfscope._errors import ErfscopeError
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.training import batches as training_batches
from erfscope_reproduce.training import classification, course, fit
from erfscope_reproduce.training.moments import Moment, store, stored
from erfscope_reproduce.training.pictures import Labelled, digits
from erfscope_reproduce.training.recipe import Course, Recipe, rate_at

from .test_training import tiny

RECIPE = Recipe(epochs=3, batch=16, rate=0.05)
COUNT = 160  # images: ten steps an epoch, eight batches to settle on


def few() -> Labelled:
    data = digits()
    return replace(
        data,
        images=data.images[:COUNT],
        classes=data.classes[:COUNT],
        test_images=data.test_images[:50],
        test_classes=data.test_classes[:50],
    )


def training(folder: Path | None, epochs: int = 3, data: Labelled | None = None) -> course.Training:
    data = data or few()
    recipe = replace(RECIPE, epochs=epochs)
    lesson = Course(
        "digits",
        COUNT // recipe.batch,
        training_batches.epoch_of(data, recipe.batch, training_batches.moved),
        classification.cross_entropy,
        lambda network: classification.accuracy(network, data),
    )
    return course.Training(fit.drawn(tiny(), 0), lesson, recipe, 0, folder)


def weights(one: course.Training) -> list[torch.Tensor]:
    return [p.detach().clone() for module in fit.modules(one.network) for p in module.parameters()]


def unseen(network: object, step: int) -> dict[str, Shot]:
    return {}


def quiet(words: str, share: float) -> None:
    pass


def test_the_rate_rises_then_falls_to_nothing() -> None:
    recipe = Recipe(epochs=10, batch=1, rate=0.5, rising=0.2)
    rates = [rate_at(recipe, step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == rates[20] == 0.5
    assert rates[60] == pytest.approx(0.25)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_an_augmented_image_is_a_shifted_or_mirrored_one() -> None:
    image = np.arange(1, 1 + 2 * 9, dtype=np.float32).reshape(2, 3, 3)
    batch = np.repeat(image[None], 64, axis=0)
    altered, classes = training_batches.moved(batch, np.arange(64), np.random.default_rng(0))
    assert classes.tolist() == list(range(64))
    for one in altered:
        assert any(np.array_equal(one, moved) for moved in _moves(image))


def _moves(image: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> Iterator[np.ndarray]:
    """Every shift by up to four pixels, zeros coming in, as it is and mirrored; pixel by pixel."""
    for dy in range(-4, 5):
        for dx in range(-4, 5):
            moved = np.zeros_like(image)
            for y in range(3):
                for x in range(3):
                    if 0 <= y + dy < 3 and 0 <= x + dx < 3:
                        moved[:, y, x] = image[:, y + dy, x + dx]
            yield moved
            yield moved[:, :, ::-1]


def test_a_part_of_a_scene_keeps_its_classes() -> None:
    planes = np.arange(20 * 6 * 8, dtype=np.int64).reshape(20, 6, 8)
    images = np.stack([planes, 2 * planes, 3 * planes], axis=1).astype(np.float32)
    parts, classes = training_batches.cropped((4, 5))(images, planes, np.random.default_rng(0))
    assert parts.shape == (20, 3, 4, 5)
    assert np.array_equal(parts, np.stack([classes, 2 * classes, 3 * classes], axis=1))
    steps = {tuple(np.unique(np.diff(one, axis=1))) for one in classes}
    assert steps == {(1,), (-1,)}, "some are mirrored, none is mixed"
    assert len({int(one.min()) % 48 for one in classes}) > 5, "parts lie in many places"


def test_an_epoch_has_every_image_once() -> None:
    data = few()
    numbered = replace(data, classes=np.arange(COUNT))
    batches = list(training_batches.epoch_of(numbered, 16, training_batches.moved)(np.random.default_rng(1)))
    assert sorted(np.concatenate([classes for _, classes in batches]).tolist()) == list(range(COUNT))
    again = list(training_batches.epoch_of(numbered, 16, training_batches.moved)(np.random.default_rng(1)))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(batches, again, strict=True))


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = training(None)
    moments = course.follow(whole, unseen, quiet)
    stopped = training(tmp_path)

    def stop(network: object, step: int) -> dict[str, Shot]:
        if step == 20:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        course.follow(stopped, stop, quiet)
    later = training(tmp_path)
    heard: list[str] = []
    assert course.follow(later, unseen, lambda words, share: heard.append(words)) == moments
    assert heard[0].startswith("epoch 3 of 3, ")
    assert len(heard) == 10, "only the third epoch's steps are left"
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(later), strict=True))
    assert later.losses == whole.losses
    assert not list(tmp_path.glob("*.partial"))


def test_a_finished_training_is_read(tmp_path: Path) -> None:
    first = course.follow(training(tmp_path), unseen, quiet)

    def never(network: object, step: int) -> dict[str, Shot]:
        raise AssertionError("it was measured before")

    assert course.follow(training(tmp_path), never, quiet) == first
    assert [moment.step for moment in first] == [0, 10, 20, 30]


def test_training_teaches() -> None:
    one = training(None, epochs=12)
    course.follow(one, unseen, quiet)
    assert one.losses[-1] < one.losses[0] - 0.1
    assert one.losses[-1] < np.log(10), "better than naming every class with equal odds"


def test_the_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    course.follow(training(tmp_path, epochs=1), unseen, quiet)
    with pytest.raises(ErfscopeError, match="another recipe"):
        course.follow(training(tmp_path, epochs=2), unseen, quiet)
    first = course.folder_of(tmp_path, "net", RECIPE, 0)
    assert first != course.folder_of(tmp_path, "net", replace(RECIPE, decay=0.0), 0)


def test_a_moment_comes_back_as_it_was_stored(tmp_path: Path, bench: Bench) -> None:
    network = fit.drawn(tiny(), 0)
    shot = bench.measure_network(network, "tiny", inputs=4)
    store(Moment(7, 0.5, {"noise": shot}), tmp_path / "epoch-001.json")
    back = stored(tmp_path / "epoch-001.json")
    assert (back.step, back.accuracy) == (7, 0.5)
    assert back.shots["noise"].quantity("erf_size") == shot.quantity("erf_size")
    assert np.array_equal(back.shots["noise"].map, shot.map)
    assert back.shots["noise"].how == shot.how
