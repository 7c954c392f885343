"""The spec language: what it accepts, how it names layers, and how it refuses."""

import json
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic.json_schema import JsonSchemaMode

from erfscope_contract.architecture import Architecture, Init, check, plan
from erfscope_contract.problem import ProblemError
from erfscope_contract.request import ErfRequest, Weights

CONV: dict[str, Any] = {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": "same"}


def spec(*layers: dict[str, Any], size: tuple[int, ...] = (16, 16), channels: int = 4) -> Architecture:
    return Architecture.model_validate({"input": {"channels": channels, "size": list(size)}, "layers": list(layers)})


def refusal(*layers: dict[str, Any], size: tuple[int, ...] = (16, 16)) -> str:
    with pytest.raises(ProblemError) as caught:
        check(spec(*layers, size=size))
    assert caught.value.kind == "invalid-architecture"
    return caught.value.problem.detail


def nested(depth: int) -> dict[str, Any]:
    layer: dict[str, Any] = {"type": "relu"}
    for _ in range(depth):
        layer = {"type": "sequential", "layers": [layer]}
    return layer


def test_the_example_of_the_documentation_has_the_shapes_it_says() -> None:
    architecture = Architecture.model_validate_json(
        """{"name": "plain-20", "input": {"channels": 3, "size": [64, 64]}, "init": "kaiming_normal",
        "layers": [{"type": "repeat", "times": 20, "layers": [
            {"type": "conv", "out_channels": 16, "kernel_size": 3, "padding": "same"}, {"type": "relu"}]},
          {"type": "residual", "layers": [{"type": "conv", "kernel_size": 1}]},
          {"type": "conv", "name": "skip", "out_channels": 8, "kernel_size": 3, "stride": 2, "dilation": 1},
          {"type": "upsample", "scale_factor": 2, "mode": "nearest"},
          {"type": "conv", "name": "again", "out_channels": 4, "kernel_size": 1, "inputs": ["skip"]},
          {"type": "concat", "inputs": ["skip", "previous"]}]}"""
    )
    shapes = {row.name: row.shape for row in check(architecture)}
    assert len(shapes) == 40 + 2 + 4
    assert shapes["repeat_0.19.relu_1"] == (16, 64, 64)
    assert shapes["skip"] == (8, 31, 31)
    assert shapes["upsample_3"] == (8, 62, 62)
    assert shapes["concat_5"] == (12, 31, 31)


def test_a_spec_survives_the_wire() -> None:
    architecture = spec(CONV, {"type": "dense", "times": 2, "layers": [CONV]}, {"type": "elu", "alpha": 2})
    again = Architecture.model_validate_json(architecture.model_dump_json(exclude_defaults=True))
    assert again == architecture
    assert ErfRequest.model_validate({"model": {"architecture": json.loads(again.model_dump_json())}}).model


@pytest.mark.parametrize(
    ("layer", "location", "words"),
    [
        ({**CONV, "kernel_size": -1}, ("conv", "kernel_size", "number"), "greater than or equal to 1"),
        ({**CONV, "kernel_size": [3, 2**31]}, ("conv", "kernel_size", "list", 1), "less than or equal"),
        ({**CONV, "out_channels": -1}, ("conv", "out_channels"), "greater than or equal to 1"),
        ({**CONV, "padding": "sam"}, ("conv", "padding", "word"), "'same' or 'valid'"),
        ({**CONV, "kernal_size": 3}, ("conv", "kernal_size"), "Extra inputs"),
        ({"type": "cnv"}, (), "'conv'"),
        ({"type": "repeat", "times": 10**6, "layers": [CONV]}, ("repeat", "times"), "less than or equal"),
        ({"type": "relu", "name": "previous"}, ("relu",), "reserved"),
        ({"type": "relu", "name": "a.b"}, ("relu", "name"), "pattern"),
        ({"type": "concat"}, ("concat", "inputs"), "required"),
        ({"type": "add", "inputs": ["previous"]}, ("add", "inputs"), "at least 2"),
        ({"type": "upsample"}, ("upsample",), "exactly one of size and scale_factor"),
        ({"type": "crop"}, ("crop",), "exactly one of size and margin"),
        ({"type": "sparse_conv", "offsets": [[0, 1], [0, 1]]}, ("sparse_conv",), "twice"),
        ({**CONV, "init": {"scheme": "ones", "std": 1}}, ("conv", "init", "options"), "does not read std"),
        ({**CONV, "init": {"scheme": "uniform", "low": 1}}, ("conv", "init", "options"), "go together"),
        ({"type": "leaky_relu", "negative_slope": float("nan")}, ("leaky_relu", "negative_slope"), "finite"),
    ],
)
def test_a_field_that_is_wrong_is_the_only_one_named(
    layer: dict[str, Any], location: tuple[str | int, ...], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(layer)
    (error,) = caught.value.errors()
    assert error["loc"] == ("layers", 0, *location)
    assert words in error["msg"]


def test_repeats_are_bounded_once_written_out() -> None:
    inner = {"type": "repeat", "times": 200, "layers": [CONV]}
    with pytest.raises(ValidationError, match="40000 layers once repeats are written out"):
        spec({"type": "repeat", "times": 200, "layers": [inner]})
    assert len(check(spec({"type": "repeat", "times": 100, "layers": [inner]}))) == 20_000


def test_blocks_are_bounded_in_depth() -> None:
    assert len(check(spec(nested(16)))) == 1
    with pytest.raises(ValidationError, match="17 deep; at most 16"):
        spec(nested(17))
    with pytest.raises(ValidationError, match="nested deeper than 64 levels"):
        spec(nested(200))


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_schema_describes_every_field_and_asks_for_the_type(mode: JsonSchemaMode) -> None:
    schema = Architecture.model_json_schema(mode=mode)
    bare = [
        f"{name}.{field}"
        for name, model in [("Architecture", schema), *schema["$defs"].items()]
        for field, description in model.get("properties", {}).items()
        if "description" not in description
    ]
    assert bare == []
    assert {"type", "kernel_size"} <= set(schema["$defs"]["Conv"]["required"])
    assert "dilation" in schema["$defs"]["Conv"]["properties"]


def test_names_are_paths_and_the_latest_of_a_name_is_meant() -> None:
    named = {**CONV, "name": "c"}
    written = plan(
        spec(
            {"type": "repeat", "name": "block", "times": 2, "layers": [named, {"type": "relu"}]},
            {"type": "residual", "layers": [CONV], "shortcut": [CONV], "activation": "tanh"},
            {"type": "parallel", "name": "both", "branches": [[CONV], []], "merge": "add"},
            {"type": "relu", "inputs": ["c"]},
            {"type": "relu", "inputs": ["block.0.c"]},
            {"type": "relu", "inputs": ["input"]},
        )
    )
    assert [step.name for step in written.steps] == [
        "block.0.c",
        "block.0.relu_1",
        "block.1.c",
        "block.1.relu_1",
        "residual_1.conv_0",
        "residual_1.shortcut.conv_0",
        "residual_1.sum",
        "residual_1",
        "both.0.conv_0",
        "both",
        "relu_3",
        "relu_4",
        "relu_5",
    ]
    assert [step.inputs for step in written.steps[-4:]] == [(8, 7), (2,), (0,), (-1,)]
    assert written.aliases["block"] == "block.1.relu_1"
    assert written.aliases["c"] == "block.1.c"


def test_a_blocks_scheme_holds_inside_and_a_layers_own_wins() -> None:
    written = plan(
        Architecture.model_validate(
            {
                "init": "orthogonal",
                "layers": [
                    CONV,
                    {
                        "type": "repeat",
                        "times": 1,
                        "init": "ones",
                        "layers": [CONV, {**CONV, "init": "uniform"}],
                    },
                ],
            }
        )
    )
    assert [step.init for step in written.steps] == [Init.ORTHOGONAL, Init.ONES, Init.UNIFORM]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([{"type": "relu", "inputs": ["skp"]}], ["layers[1] (relu)", "'skp'", "'skip'"]),
        ([{**CONV, "groups": 3}], ["layers[1] (conv)", "groups=3 does not divide the 8 input channels"]),
        ([{**CONV, "kernel_size": 99, "padding": 0}], ["covers 99 positions on axis 0", "only 16"]),
        ([{**CONV, "stride": 2}], ["'same' needs stride 1"]),
        ([{**CONV, "kernel_size": [3, 3, 3]}], ["kernel_size has 3 entries", "2 spatial axes"]),
        ([{"type": "max_pool", "kernel_size": 2, "padding": 2}], ["over half"]),
        (
            [{"type": "max_pool", "kernel_size": 2}, {"type": "add", "inputs": ["skip", "previous"]}],
            ["layers[2]"],
        ),
        ([{"type": "group_norm", "num_groups": 3}], ["num_groups=3 does not divide the 8 channels"]),
        ([{"type": "linear", "out_features": 3}], ["put a flatten before it"]),
        ([{"type": "flatten"}, CONV], ["layers[2] (conv)", "vector"]),
        ([{"type": "upsample", "size": 4, "mode": "trilinear"}], ["needs 3 spatial axes, not 2"]),
        ([{"type": "crop", "size": 17}], ["larger than the input"]),
        ([{"type": "pixel_shuffle", "upscale_factor": 3}], ["does not divide the 8 channels"]),
        ([{"type": "pad", "padding": 16, "mode": "reflect"}], ["reflect padding of 16", "(15)"]),
        ([{"type": "upsample", "scale_factor": 1024}] * 3, ["over the limit", "layers[2]"]),
        ([{**CONV, "init": {"scheme": "taps", "taps": [1, 2]}}], ["layers[1] (conv)", "2 values", "kernel has 9"]),
        ([{"type": "relu", "name": "skip"}], ["layers[1]", "already has the name 'skip'"]),
        (
            [{"type": "relu", "name": "relu_2"}, {"type": "relu"}],
            ["layers[2]", "already has the name 'relu_2'"],
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_the_layers_place(layers: list[dict[str, Any]], words: list[str]) -> None:
    detail = refusal({**CONV, "name": "skip"}, *layers)
    assert [word for word in words if word not in detail] == []


def test_the_place_goes_down_into_blocks_and_carries_the_name() -> None:
    block = {
        "type": "residual",
        "layers": [CONV, {"type": "conv", "name": "skip", "kernel_size": 2, "groups": 5}],
    }
    assert 'layers[1].layers[1] (conv "skip"): groups=5' in refusal(CONV, block)
    branch = {"type": "parallel", "branches": [[], [{"type": "conv", "kernel_size": 40}]]}
    assert "layers[0].branches[1][0] (conv): " in refusal(branch)


def test_too_many_weights_are_refused_before_any_is_made() -> None:
    wide = {"type": "conv", "out_channels": 65_536, "kernel_size": 1}
    with pytest.raises(ProblemError, match="over the limit of 536,870,912") as caught:
        check(spec(wide, wide))
    assert caught.value.kind == "resource-limit"


def test_another_input_shape_must_suit_the_spec() -> None:
    architecture = spec(CONV)
    assert check(architecture, [4, 20, 30])[0].shape == (8, 20, 30)
    for shape in ([3, 20, 30], [4, 20]):
        with pytest.raises(ProblemError, match="the spec takes 4 channels and 2 spatial axes") as caught:
            check(architecture, shape)
        assert caught.value.kind == "shape-mismatch"


def test_a_request_knows_every_scheme_that_needs_no_kernel() -> None:
    assert {weights.value for weights in Weights} == {"given", *(init.value for init in Init)} - {"taps"}
