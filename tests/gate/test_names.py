"""The names a configuration may use are the names that results have."""

import pytest
from tests.gate.conftest import conv

from erfscope import _local
from erfscope._models import prepare
from erfscope._request import build
from erfscope.gate.rules import CHECK_KEYS, REQUEST_KEYS, metric_names, nearest


def test_metrics_are_those_of_results() -> None:
    measured: set[str] = set()
    for size in ([24], [24, 24], [9, 9, 9]):
        body = {"name": "n", "input": {"channels": 1, "size": size}, "layers": [conv()]}
        result = _local.measure(prepare(body), build(None, {"inputs": 2}), None, lambda stage, share: None)
        measured |= set(result.metrics)
    assert metric_names() == measured


def test_no_name_means_two_things() -> None:
    groups = (set(CHECK_KEYS), set(REQUEST_KEYS), set(metric_names()))
    assert sum(map(len, groups)) == len(set.union(*groups))


@pytest.mark.parametrize(
    ("name", "said"),
    [("erf_sze", "did you mean erf_size?"), ("zzz", "known are: erf_size, layer")],
)
def test_nearest(name: str, said: str) -> None:
    assert nearest(name, ["layer", "erf_size"]) == said
