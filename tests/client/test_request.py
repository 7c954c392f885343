"""Keyword arguments become a request."""

from typing import Any

import pytest

from erfscope import ErfRequest, errors
from erfscope._request import SHORT, RequestFields, build, with_model
from erfscope_contract.request import ModelRef


def dumped(request: ErfRequest) -> dict[str, Any]:
    return request.model_dump(mode="json", exclude_unset=True)


def test_short_names_stand_for_fields() -> None:
    request = build(None, {"layer": "/a", "unit": (3, 4), "inputs": 8, "draws": 2, "input_shape": (3, 9, 9)})
    assert dumped(request) == {
        "target": {"layer": "/a", "unit": [3, 4]},
        "average": {"inputs": 8, "weights": 2},
        "input": {"shape": [3, 9, 9]},
    }


def test_random_is_kaiming_normal_as_on_the_command_line() -> None:
    assert build(None, {"weights": "random"}).weights == "kaiming_normal"
    assert build({"weights": "trained"}, {}).weights == "given"


@pytest.mark.parametrize("base", [{"average": {"seed": 7}}, ErfRequest.model_validate({"average": {"seed": 7}})])
def test_fields_are_laid_over_the_base(base: Any) -> None:
    request = build(base, {"inputs": 8, "average": {"statistic": "rms"}, "weights": "ones"})
    assert dumped(request) == {"average": {"seed": 7, "inputs": 8, "statistic": "rms"}, "weights": "ones"}
    assert base in ({"average": {"seed": 7}}, ErfRequest.model_validate({"average": {"seed": 7}}))


def test_images_become_the_source() -> None:
    request = build(None, {"mean": [0.5]}, images="0" * 64)
    assert dumped(request)["input"] == {"mean": [0.5], "source": "images", "images": "0" * 64}


def test_a_precision_is_a_number_as_on_the_command_line() -> None:
    assert dumped(build(None, {"until": 0.02})) == {"average": {"until": {"relative_error": 0.02}}}


def test_an_element_and_verification_are_fields_like_others() -> None:
    request = build({"verify": False}, {"unit": {"index": (3, 7, 7)}, "verify": True})
    assert dumped(request) == {"target": {"unit": {"index": [3, 7, 7]}}, "verify": True}
    with pytest.raises(errors.InvalidRequest, match="leave channels out"):
        build(None, {"unit": {"index": [3, 7, 7]}, "channels": [3]})
    with pytest.raises(errors.InvalidRequest, match="draws no samples"):
        build(None, {"verify": True, "method": "analytic"})


def test_every_short_name_exists_in_the_contract() -> None:
    for section, field in SHORT.values():
        assert field in type(getattr(ErfRequest(), section)).model_fields
    fields = set(ErfRequest.model_fields) - {"model"}
    assert set(RequestFields.__annotations__) == fields | set(SHORT)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"colour": 1}, "no field 'colour'.*layer"),
        ({"model": {}}, "no field 'model'"),
        ({"inputs": 0}, "/average/inputs"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.APIError, match=words) as caught:
        build(None, fields)
    assert type(caught.value) is errors.InvalidRequest


def test_redraws_of_an_onnx_model_need_a_scheme() -> None:
    request = build(None, {"draws": 3})
    with pytest.raises(errors.APIError, match="kaiming_normal"):
        with_model(request, ModelRef(sha256="0" * 64))
    assert with_model(request, None).model is None
