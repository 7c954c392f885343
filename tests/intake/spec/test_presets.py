"""The presets: each builds, has the shapes that the contract infers, and torchvision's number of weights."""

from itertools import pairwise

import pytest
import torch

from erfscope_contract.architecture import Architecture, check
from erfscope_contract.presets import PRESETS, preset
from erfscope_contract.presets.article import spiral
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions, Weights
from erfscope_engine.plan import center_place, plan_for
from erfscope_engine.receptive import receptive_field_of
from erfscope_intake.spec import build_network

META = torch.device("meta")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_runs_as_inferred_and_survives_the_wire(name: str) -> None:
    architecture = preset(name)
    assert architecture.name == name
    assert Architecture.model_validate_json(architecture.model_dump_json()) == architecture
    network = build_network(
        architecture, InputOptions(), dtype=torch.float32, device=META, weights=Weights.GIVEN, seed=0
    )
    marked: list[object] = []
    network.run(
        torch.empty(1, *network.input_shape, device=META),
        lambda name, operator, value: marked.append((name, operator, tuple(value.shape[1:]))),
    )
    assert marked == [(row.name, row.operator, row.shape) for row in check(architecture)]


@pytest.mark.parametrize(
    ("name", "weights", "last"),
    [
        ("resnet18", 11_176_512, (512, 7, 7)),
        ("resnet34", 21_284_672, (512, 7, 7)),
        ("resnet50", 23_508_032, (2048, 7, 7)),
        ("resnet101", 42_500_160, (2048, 7, 7)),
        ("resnet152", 58_143_808, (2048, 7, 7)),
        ("vgg16", 14_714_688, (512, 7, 7)),
        ("alexnet", 2_469_696, (256, 6, 6)),
        ("mobilenet-v1", 3_206_976, (1024, 7, 7)),
        ("densenet121", 6_953_856, (1024, 7, 7)),
    ],
)
def test_published_bodies_have_their_published_number_of_weights(
    name: str, weights: int, last: tuple[int, ...]
) -> None:
    rows = check(preset(name))
    assert sum(row.parameters for row in rows) == weights
    assert rows[-1].shape == last


def test_the_articles_depths_are_kept() -> None:
    blocks = {name: str(preset(name)).count("Residual(") for name in ("cifar-resnet17", "camvid-resnet16")}
    assert blocks == {"cifar-resnet17": 17, "camvid-resnet16": 16}


def test_sparse_taps_are_distinct_and_turn() -> None:
    patterns = [frozenset(map(tuple, spiral(turn))) for turn in range(15)]
    assert {len(pattern) for pattern in patterns} == {9}
    assert all(first != second for first, second in pairwise(patterns))


def test_an_unknown_preset_names_its_neighbours() -> None:
    with pytest.raises(ProblemError, match="did you mean vgg16"):
        preset("vgg-16")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((f"plain-{depth}-{kind}", 2 * depth + 1) for depth in (5, 10, 20, 40) for kind in ("ones", "relu")),
        ("luo-conv", 31),
        ("luo-subsample", 105),
        ("luo-dilation", 53),
        ("luo-skip", 31),
        ("cifar-resnet17", 73),
        ("camvid-resnet16", 505),
        ("alexnet", 195),
        ("vgg16", 212),
        ("mobilenet-v1", 315),
        ("unet", 188),
        ("resnet18", 435),
        ("resnet34", 899),
        ("resnet50", 427),
        ("resnet50-v1", 483),
        ("resnet101", 971),
        ("resnet152", 1451),
    ],
)
def test_a_preset_has_the_receptive_field_it_says(name: str, size: int) -> None:
    network = build_network(
        preset(name), InputOptions(), dtype=torch.float32, device=META, weights=Weights.GIVEN, seed=0
    )
    plan = plan_for(network, "auto", samples=1)
    assert receptive_field_of(plan.traced, center_place(plan.layer)).size == (size, size)
