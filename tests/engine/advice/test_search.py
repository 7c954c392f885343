"""The search among growing changes, which come first, and candidate changes of a spec."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from erfscope_contract.advice import Change
from erfscope_contract.architecture import Architecture, check
from erfscope_engine.advice.alter import LARGEST_DILATION, LARGEST_KERNEL
from erfscope_engine.advice.cost import Cost
from erfscope_engine.advice.moves import Candidate, families
from erfscope_engine.advice.narrow import narrowed
from erfscope_engine.advice.rank import ranked, with_pareto
from erfscope_engine.advice.search import Trial, search
from erfscope_engine.advice.survey import survey

CONV = {"type": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}


@dataclass(frozen=True)
class Steps:
    """Sizes as changes; 0 is an invalid one."""

    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.sizes)

    @property
    def make(self) -> Callable[[int], int | None]:
        return lambda n: self.sizes[n] or None


def _searched(families: list[Steps], want: float, now: float) -> list[int]:
    return [trial.change for trial in search(families, want, now, lambda n: Trial(n, float(n)))]


@pytest.mark.parametrize("want", [1, 2, 7, 8, 9, 31, 32])
def test_the_first_that_reaches_is_taken(want: int) -> None:
    sizes = (1, 2, 4, 8, 16, 32)
    assert _searched([Steps(sizes)], want, 0) == [next(n for n in sizes if n >= want)]


def test_progress_is_told_within_a_family() -> None:
    told: list[float] = []
    list(search([Steps((1, 2, 4)), Steps((1, 2))], 100, 0, lambda n: Trial(n, float(n)), told.append))
    assert told == pytest.approx([0, 1 / 6, 1 / 3, 0.5, 0.5, 0.75, 1])


def test_what_never_reaches_gives_its_largest_valid_member() -> None:
    assert _searched([Steps((1, 2, 0, 4, 0))], 100, 0) == [4]
    assert _searched([Steps((0, 0))], 100, 0) == []
    assert _searched([Steps((5, 8, 2)), Steps((5, 6, 2))], 7, 4) == [8, 6]


def test_a_family_that_does_not_grow_is_left_at_once() -> None:
    looked: list[int] = []

    def size_of(change: int) -> Trial[int]:
        looked.append(change)
        return Trial(change, float(change))

    assert list(search([Steps((3, 5, 9)), Steps((5, 7))], 100, 4, size_of)) == [Trial(7, 7.0)]
    assert looked == [3, 5, 7]


def test_a_change_of_unknown_size_is_taken_to_be_measured() -> None:
    assert [trial.change for trial in search([Steps((1, 2))], 5, 4, lambda n: Trial(n, None))] == [1]


def _change(kind: str, size: float, macs: int = 0, **fields: Any) -> Change:
    body = {
        "kind": kind, "text": f"{kind} {size} {macs}", "edits": [], "erf_measured": size, "trf_size": [9],
        "reaches": size >= 20, "layer_shape": [4, 32], "added_macs": macs, "added_parameters": 0,
    }  # fmt: skip
    return Change.model_validate(body | fields)


NOW = Cost(macs=1000, parameters=100, memory=1000)


def test_cheap_changes_of_each_kind_come_first_and_dear_ones_last() -> None:
    changes = [
        _change("kernel_size", 25, 5000), _change("dilation", 21), _change("dilation", 22), _change("context", 24, 100),
        _change("stride", 30, -700, layer_shape=[4, 16]), _change("depth", 15), _change("dilation", 40, lattice=0.6),
        _change("large_kernel", 30, lattice=0.2),
    ]  # fmt: skip
    order = [(one.kind, one.size) for one in ranked(changes, 20, NOW, [32])]
    assert order[:3] == [("dilation", 21), ("context", 24), ("large_kernel", 30)]
    assert ("dilation", 40) not in order, "a map of holes is not offered"
    assert order[-1] == ("depth", 15), "what falls short comes last"
    assert order.index(("kernel_size", 25)) > order.index(("dilation", 22))


def test_what_surely_reaches_comes_before_what_may() -> None:
    sure, may = _change("depth", 21, 500), _change("dilation", 18, 1, reaches=True, unsure=True)
    assert [one.size for one in ranked([may, sure, _change("context", 15)], 20, NOW, [32])] == [21, 18, 15]
    nearer = _change("dilation", 19, 900, reaches=True, unsure=True)
    assert [one.size for one in ranked([may, nearer], 20, NOW, [32])] == [19, 18], "the nearer one, whatever it costs"


def test_of_what_may_reach_a_coarser_grid_comes_last() -> None:
    coarser = _change("stride", 19, -750, reaches=True, unsure=True, layer_shape=[4, 16])
    free = _change("dilation", 18, reaches=True, unsure=True)
    assert [one.size for one in ranked([coarser, free], 20, NOW, [32])] == [18, 19]


def test_pareto_marks_what_no_other_change_beats() -> None:
    changes = [_change("dilation", 21), _change("context", 24, 100), _change("kernel_size", 23, 200)]
    assert [one.pareto for one in with_pareto(changes)] == [True, True, False]


def _spec(*layers: Any, size: int = 64, **fields: Any) -> Architecture:
    return Architecture.model_validate({"input": {"size": [size, size]}, "layers": list(layers), **fields})


def _candidates(spec: Architecture, kind: str) -> list[Candidate]:
    return [one for one in _every(spec) if one.kind == kind]


def _every(spec: Architecture, *, causal: bool = False) -> list[Candidate]:
    offered = families(survey(spec, None, "none", auto=True), causal=causal)
    return [one for family in offered for n in range(family.size) if (one := family.make(n)) is not None]


SPEC = _spec(
    {**CONV, "name": "stem", "stride": 2},
    {"type": "relu"},
    {"type": "residual", "layers": [CONV, {"type": "relu"}, {**CONV, "kernel_size": [3, 5], "padding": [1, 2]}]},
    {"type": "repeat", "times": 2, "layers": [{**CONV, "padding": "same"}, {"type": "relu"}]},
)


ALL = {"dilation", "kernel_size", "depth", "large_kernel", "context", "extra_stage", "attention", "combined"}


def _numbers(tree: Any, field: str) -> list[int]:
    """Every value of a field anywhere in a spec."""
    if isinstance(tree, list):
        return [n for one in tree for n in _numbers(one, field)]
    if not isinstance(tree, dict):
        return []
    value = tree.get(field, [])
    here = value if isinstance(value, list) else [value]
    return [*here, *(n for one in tree.values() for n in _numbers(one, field))]


def _all_layers(tree: Any) -> list[dict[str, Any]]:
    if isinstance(tree, list):
        return [layer for one in tree for layer in _all_layers(one)]
    if not isinstance(tree, dict):
        return []
    return [*([tree] if "type" in tree else []), *(layer for one in tree.values() for layer in _all_layers(one))]


def test_changes_of_every_kind_are_offered_and_keep_every_shape() -> None:
    offered = _every(SPEC)
    assert {one.kind for one in offered} == ALL | {"stride", "output_stride"}
    last = check(SPEC)[-1].shape
    for one in offered:
        if one.kind not in ("stride", "output_stride"):
            assert check(one.architecture)[-1].shape == last, one.title
        assert one.edits
        assert all(edit.before != edit.after for edit in one.edits)


def test_no_change_is_huge() -> None:
    """Dilations, kernels and depth stay within what the field uses."""
    depth = len(check(SPEC))
    for one in _every(SPEC):
        tree = one.architecture.model_dump(mode="json", exclude_unset=True)
        assert max(_numbers(tree, "dilation"), default=1) <= LARGEST_DILATION == 8
        assert max(_numbers(tree, "kernel_size")) <= LARGEST_KERNEL == 31
        if one.kind == "depth":
            assert len(check(one.architecture)) <= 2 * depth


def test_a_dilation_says_what_it_is() -> None:
    first = _candidates(SPEC, "dilation")[0]
    (edit,) = first.edits
    assert (edit.layer, edit.field, edit.before, edit.after) == ("repeat_3.*.conv_0", "dilation", "1", "2")
    changed = first.architecture.model_dump(mode="json")["layers"][3]["layers"][0]
    assert (changed["dilation"], changed["padding"]) == (2, "same")
    paths = {edit.layer for one in _candidates(SPEC, "dilation") for edit in one.edits}
    assert paths == {"stem", "residual_2.conv_0", "residual_2.conv_2", "repeat_3.*.conv_0"}


def test_a_dropped_stride_makes_a_finer_grid_of_the_same_places() -> None:
    spec = _spec(CONV, {"type": "max_pool", "kernel_size": 2}, CONV, {"type": "relu"}, CONV)
    one = _candidates(spec, "output_stride")[0]
    assert check(one.architecture)[-1].shape == (4, 64, 64)
    layers = one.architecture.model_dump(mode="json")["layers"]
    assert (layers[1]["kernel_size"], layers[1]["stride"], layers[1]["padding"]) == (3, 1, 1)
    assert [layers[k]["dilation"] for k in (0, 2, 4)] == [1, 4, 4]


def test_a_causal_network_stays_causal() -> None:
    pad = {"type": "pad", "padding": [2, 0]}
    conv = {"type": "conv", "out_channels": 4, "kernel_size": 3}
    spec = Architecture.model_validate(
        {"input": {"channels": 4, "size": [64]}, "layers": [pad, conv, {"type": "relu"}]}
    )
    offered = _every(spec, causal=True)
    assert {one.kind for one in offered} == {"dilation", "kernel_size", "large_kernel"}
    for one in offered:
        tree = one.architecture.model_dump(mode="json", exclude_unset=True)
        assert check(one.architecture)[-1].shape == (4, 64)
        padded = [layer["padding"] for layer in _all_layers(tree) if layer["type"] == "pad"]
        assert padded
        assert all(behind == 0 for _, behind in padded)
        assert all(layer.get("padding", 0) in (0, "valid") for layer in _all_layers(tree) if layer["type"] == "conv")


def test_layers_behind_an_added_block_keep_their_names() -> None:
    spec = _spec(CONV, {"type": "max_pool", "kernel_size": 2}, CONV, {"type": "upsample", "scale_factor": 2}, CONV)
    one = next(one for one in _candidates(spec, "large_kernel") if "conv_2" in one.title)
    names = {row.name for row in check(one.architecture)}
    assert {row.name for row in check(spec)} <= names
    assert "large_kernel" in names


def test_depth_puts_layers_a_second_time_with_what_belongs_to_them() -> None:
    spec = _spec(CONV, {"type": "relu"}, CONV, {"type": "batch_norm"}, {"type": "relu"})
    one = _candidates(spec, "depth")[0]
    types = [row.operator for row in check(one.architecture)]
    assert types == ["conv", "relu", "conv", "batch_norm", "relu", "conv", "batch_norm", "relu"]
    assert one.new == ("conv_2_again",)
    passes = _candidates(SPEC, "depth")
    assert [edit.after for one in passes for edit in one.edits] == ["3", "4"]


def test_a_layer_in_a_block_is_called_by_its_path() -> None:
    """Two blocks may each have a layer of one name."""
    spec = _spec(CONV, {"type": "sequential", "name": "stage", "layers": [CONV, {"type": "relu"}] * 2})
    one = _candidates(spec, "depth")[0]
    path = one.edits[0].layer
    assert (path, one.new) == ("stage.conv_2", ("stage.conv_2_again",))
    for network, name in ((spec, path), (one.architecture, one.new[0])):
        assert name in {row.name for row in check(network)}


def test_channel_counts_lose_their_common_divisor() -> None:
    depthwise = {"type": "conv", "kernel_size": 3, "groups": "depthwise"}
    spec = _spec({**CONV, "out_channels": 64}, {**CONV, "out_channels": 96}, depthwise)
    counts = [layer.get("out_channels") for layer in narrowed(spec).model_dump()["layers"]]
    assert counts == [2, 3, None]
    grouped = _spec({**CONV, "out_channels": 64}, {"type": "group_norm", "num_groups": 8})
    assert narrowed(grouped) is grouped
