"""Shape inference of the contract against what torch really makes."""

from typing import Any

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from erfscope_contract.architecture import AnyLayer, Architecture, check
from erfscope_contract.architecture.axes import MisfitError
from erfscope_contract.architecture.shapes import RULES
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import InputOptions, Weights
from erfscope_intake.spec import build_network
from erfscope_intake.spec.modules import make_module

LAYER: TypeAdapter[Any] = TypeAdapter(AnyLayer)
SMALL = st.integers(1, 3)
MODES = ["zeros", "reflect", "replicate", "circular"]


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def layer(kind: str, required: dict[str, Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    fixed = {
        "type": st.just(kind),
        **{k: v if isinstance(v, st.SearchStrategy) else st.just(v) for k, v in required.items()},
    }
    return st.fixed_dictionaries(fixed, optional=fields)


KERNEL = {"kernel_size": st.integers(1, 5)}
WINDOWED = st.one_of(
    layer(
        "conv",
        KERNEL,
        out_channels=st.sampled_from([2, 4, 6]),
        stride=SMALL,
        padding=st.one_of(st.integers(0, 3), st.sampled_from(["same", "valid"])),
        dilation=SMALL,
        groups=st.sampled_from([1, 2, 3, "depthwise"]),
        padding_mode=st.sampled_from(MODES),
    ),
    layer(
        "conv_transpose",
        KERNEL,
        stride=SMALL,
        padding=st.integers(0, 3),
        output_padding=st.integers(0, 2),
        dilation=SMALL,
        groups=st.sampled_from([1, 2, 3]),
    ),
    layer("max_pool", KERNEL, stride=SMALL, padding=st.integers(0, 2), dilation=SMALL, ceil_mode=st.booleans()),
    layer(
        "avg_pool",
        KERNEL,
        stride=SMALL,
        padding=st.integers(0, 2),
        ceil_mode=st.booleans(),
        count_include_pad=st.booleans(),
    ),
    layer("lp_pool", KERNEL, stride=SMALL, ceil_mode=st.booleans()),
    layer("pad", {"padding": st.integers(0, 9)}, mode=st.sampled_from(["constant", *MODES[1:]])),
)
OTHERS = st.one_of(
    layer("adaptive_avg_pool", {"output_size": st.integers(1, 9)}),
    layer("adaptive_max_pool", {"output_size": st.integers(1, 9)}),
    layer(
        "upsample",
        {"scale_factor": st.floats(0.3, 2.5)},
        mode=st.sampled_from(["nearest", "linear", "nearest-exact"]),
    ),
    layer("upsample", {"size": st.integers(1, 12), "mode": "linear"}, align_corners=st.booleans()),
    layer("crop", {"size": st.integers(1, 8)}),
    layer("crop", {"margin": st.integers(0, 3)}),
    layer("pixel_unshuffle", {"downscale_factor": st.integers(1, 3)}),
    layer("pixel_shuffle", {"upscale_factor": st.integers(1, 2)}),
    layer("group_norm", {"num_groups": st.integers(1, 4)}),
    layer("local_response_norm", {"size": st.integers(1, 7)}),
    layer("attention", {"num_heads": st.integers(1, 4)}),
    layer("layer_norm", {}, over=st.sampled_from(["channels", "all"])),
    layer("prelu", {}, num_parameters=st.sampled_from([1, "channels"])),
    layer("dropout", {}, active=st.booleans(), channelwise=st.booleans()),
    *(layer(kind, {}) for kind in ("batch_norm", "instance_norm", "position_embedding", "softmax", "gelu", "celu")),
)
SIZES = st.integers(1, 3).flatmap(lambda rank: st.lists(st.integers(4, 10), min_size=rank, max_size=rank))


def blocks(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    layers = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        layer("repeat", {"times": SMALL, "layers": layers}),
        layer("dense", {"times": SMALL, "layers": layers}),
        layer("residual", {"layers": layers}, shortcut=layers, activation=st.just("relu")),
        layer(
            "parallel",
            {"branches": st.lists(layers, min_size=2, max_size=3)},
            merge=st.sampled_from(["concat", "add"]),
        ),
    )


@settings(max_examples=2000, deadline=None)
@given(size=SIZES, written=WINDOWED)
def test_a_layer_is_refused_exactly_when_torch_refuses_it(size: list[int], written: dict[str, Any]) -> None:
    # torch refuses `same` with a stride when the layer is made; ours writes the padding out as numbers
    assume(written.get("padding") != "same" or written.get("stride", 1) == 1)
    parsed, shape = LAYER.validate_python(written), (4, *size)
    try:
        expected: object = RULES[type(parsed)](parsed, shape)
    except MisfitError:
        expected = "refused"
    try:
        made = make_module(parsed, shape)(torch.zeros(1, *shape))
        found: object = tuple(made.shape[1:]) if made.numel() else "refused"  # torch lets some layers empty a tensor
    except (RuntimeError, ValueError, IndexError):
        found = "refused"
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(
    size=SIZES,
    layers=st.lists(st.one_of(WINDOWED, OTHERS, blocks(st.one_of(WINDOWED, OTHERS))), min_size=1, max_size=5),
)
def test_a_network_that_is_accepted_has_the_shapes_and_weights_it_says(size: list[int], layers: list[Any]) -> None:
    architecture = Architecture.model_validate({"input": {"channels": 4, "size": size}, "layers": layers})
    try:
        expected = [(row.name, row.operator, row.shape) for row in check(architecture)]
    except ProblemError as problem:
        assert problem.problem.detail.startswith("layers[")  # noqa: PT017  # most examples are refused, not all
        return
    network = build_network(
        architecture,
        InputOptions(),
        dtype=torch.float32,
        device=torch.device("cpu"),
        weights=Weights.GIVEN,
        seed=0,
    )
    marked: list[object] = []
    network.run(
        torch.zeros(2, *network.input_shape),
        lambda name, op, v: marked.append((name, op, tuple(v.shape[1:]))),
    )
    assert marked == expected


@settings(max_examples=100, deadline=None)
@given(size=SIZES, written=st.one_of(WINDOWED, OTHERS))
def test_the_number_of_weights_is_torchs(size: list[int], written: dict[str, Any]) -> None:
    architecture = Architecture.model_validate({"input": {"channels": 4, "size": size}, "layers": [written]})
    try:
        (row,) = check(architecture)
    except ProblemError:
        return
    made = make_module(LAYER.validate_python(written), (4, *size))
    assert row.parameters == sum(weight.numel() for weight in made.parameters())
