"""Changes of a spec that enlarge its ERF, as the field makes them: families of growing changes, each bounded."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import cycle, islice

from pydantic import ValidationError

from erfscope_contract.advice import ChangeKind, Edit
from erfscope_contract.architecture import Architecture, infer
from erfscope_contract.problem import ProblemError
from erfscope_engine.advice import blocks
from erfscope_engine.advice.alter import Alter, dilated, strided, unstrided, wider
from erfscope_engine.advice.survey import Site, Survey
from erfscope_engine.advice.tree import Json, Keys, Spot, list_at, paths_at, segment, with_layers

FACTORS = (2, 4)  # of dilations, in several layers at once
WIDER = (2, 4)  # added to a kernel size, in several layers at once
LARGE = (7, 13, 21, 31)  # of a depthwise kernel
CYCLES = ((1, 2, 3), (1, 2, 4), (2, 4, 8), (1, 2, 4, 8))  # dilations in turn leave no holes (Wang et al., WACV 2018)
TURNS = (CYCLES[0], CYCLES[1], CYCLES[3])  # those that begin with 1
BEHIND = ("batch_norm", "relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid", "hardswish", "elu", "prelu")
MOST_EDITS = 40  # of one change that are listed one by one


@dataclass(frozen=True)
class Candidate:
    """A changed spec, what was changed, and what of its weights is new.

    `new` are layers to be trained from nothing, `reshaped` those whose old weights do not fit any more.
    """

    kind: ChangeKind
    title: str
    edits: tuple[Edit, ...]
    architecture: Architecture
    new: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """Changes of one kind at one place, smallest first; `make(n)` is the n-th, None where it is not valid."""

    kind: ChangeKind
    size: int
    make: Callable[[int], Candidate | None]


def families(found: Survey, *, causal: bool) -> list[Family]:
    """All families of changes of a spec; a causal network is offered what keeps it causal."""
    listed = [*_dilations(found), *_kernels(found), *_depths(found), *_large_kernels(found, causal=causal)]
    if not causal:
        listed += [*_blocks(found), *_grids(found), *_pairs(found)]
    return listed


def _dilations(found: Survey) -> list[Family]:
    """The convolutions of the coarsest grid, then also those of the one before it, then all."""
    groups = _groups(found)
    listed = [_levels(found, "dilation", group, [[dilated(n)] for n in FACTORS], _by) for group in groups]
    cycles = [[dilated(n) for n in turn] for turn in CYCLES]
    return [*listed, *(_levels(found, "dilation", group, cycles, _turns) for group in groups if len(group) > 2)]


def _groups(found: Survey) -> list[list[Spot]]:
    """Convolutions that are changed together: the last third, the coarsest grid, it and the one before it, all."""
    convs = list(found.convs)
    late = found.on(found.coarsest) if convs else []
    finer = found.finer
    both = [conv for conv in convs if conv in late or (finer is not None and conv in found.on(finer))]
    groups = [convs[-max(len(convs) // 3, 1) :], late, both, convs]
    different: list[list[Spot]] = []
    for group in groups:
        if group and group not in different:
            different.append(group)
    return different


def _by(spots: Sequence[Spot], before: Sequence[str], after: Sequence[str]) -> str:
    return f"dilate {_layers(spots)}: {' '.join(dict.fromkeys(before))} → {' '.join(dict.fromkeys(after))}"


def _turns(spots: Sequence[Spot], before: Sequence[str], after: Sequence[str]) -> str:
    turn = ", ".join(dict.fromkeys(after))
    return f"dilate {_layers(spots)} by turns: {' '.join(dict.fromkeys(before))} → {turn}"


def _widened(spots: Sequence[Spot], before: Sequence[str], after: Sequence[str]) -> str:
    return (
        f"widen the kernels of {_layers(spots)}: {' '.join(dict.fromkeys(before))} → {' '.join(dict.fromkeys(after))}"
    )


def _layers(spots: Sequence[Spot]) -> str:
    """One layer by name, several by their number, first and last."""
    if len(spots) == 1:
        return spots[0].path
    return f"{len(spots)} layers ({spots[0].path} … {spots[-1].path})"


Title = Callable[[Sequence[Spot], Sequence[str], Sequence[str]], str]


def _levels(
    found: Survey, kind: ChangeKind, group: Sequence[Spot], levels: Sequence[Sequence[Alter]], title: Title
) -> Family:
    """The same layers changed level after level; a level's alterations take turns along the layers."""

    def make(n: int) -> Candidate | None:
        tree = deepcopy(found.tree)
        for spot, alter in zip(group, islice(cycle(levels[n]), len(group)), strict=True):
            if not alter(spot.list_in(tree), spot.index):
                return None
        field = "kernel_size" if kind == "kernel_size" else "dilation"
        edits = _edits(group, tree, (field,))
        changed = [spot for spot in group if spot.list_in(tree)[spot.index] != spot.layer]
        if not changed:
            return None
        told = title(changed, [edit.before for edit in edits], [edit.after for edit in edits])
        reshaped = tuple(spot.path for spot in changed) if kind == "kernel_size" else ()
        return _checked(found, kind, told, edits, tree, reshaped=reshaped)

    return Family(kind, len(levels), make)


def _edits(spots: Sequence[Spot], tree: Json, fields: Sequence[str]) -> list[Edit]:
    """What differs, layer by layer."""
    listed = []
    for spot in spots:
        after = spot.list_in(tree)[spot.index]
        for field in fields:
            values = str(spot.layer.get(field, 1)), str(after.get(field, 1))
            if values[0] != values[1]:
                listed.append(Edit(layer=spot.path, field=field, before=values[0], after=values[1]))
    return listed


def _kernels(found: Survey) -> list[Family]:
    groups = _groups(found)
    levels = [[wider(n)] for n in WIDER]
    return [_levels(found, "kernel_size", group, levels, _widened) for group in _ends(groups)]


def _ends(groups: list[list[Spot]]) -> list[list[Spot]]:
    """The first and the last group: kernels cost too much to be tried everywhere."""
    return groups if len(groups) < 2 else [groups[0], groups[-1]]


def _depths(found: Survey) -> list[Family]:
    """The last layers of the coarsest grid a second time: one, half of them, all; or a repeat's passes."""
    keys, start, stop = found.run()
    layers = list_at(found.tree, keys)
    if stop and layers[stop - 1]["type"] == "repeat":
        return [Family("depth", 2, lambda n: _more_passes(found, keys, stop - 1, n))]
    units = [k for k in range(start, stop) if layers[k]["type"] not in BEHIND]
    starts = sorted({units[-1], units[len(units) // 2], units[0]}, reverse=True) if units else []
    return [Family("depth", len(starts), lambda n: _again(found, keys, starts[n], stop))]


def _more_passes(found: Survey, keys: Keys, index: int, n: int) -> Candidate | None:
    """Half as many passes of a repeat more, then twice as many."""
    layer = list_at(found.tree, keys)[index]
    name, times = paths_at(found.tree, keys)[index], layer["times"]
    after = 2 * times if n else times + -(-times // 2)
    tree = deepcopy(found.tree)
    list_at(tree, keys)[index]["times"] = after
    edit = Edit(layer=name, field="times", before=str(times), after=str(after))
    new = (f"{name}, passes {times + 1} to {after}",)
    return _checked(found, "depth", f"repeat {name}: {times} → {after} passes", [edit], tree, new=new)


def _again(found: Survey, keys: Keys, start: int, stop: int) -> Candidate | None:
    """Layers a second time behind themselves, with weights of their own."""
    layers = list_at(found.tree, keys)
    names = paths_at(found.tree, keys)[start:stop]
    copies = [{**deepcopy(one), "name": f"{segment(one, k)}_again"} for k, one in enumerate(layers[start:stop], start)]
    tree = with_layers(found.tree, keys, stop, copies)
    units = [name for name, one in zip(names, copies, strict=True) if one["type"] not in BEHIND]
    words = units[0] if len(units) == 1 else f"{len(units)} layers ({units[0]} … {units[-1]})"
    edits = [Edit(layer=name, field="times", before="1", after="2") for name in units]
    new = tuple(f"{name}_again" for name in units)
    return _checked(found, "depth", f"put {words} a second time", edits, tree, new=new)


def _large_kernels(found: Survey, *, causal: bool) -> list[Family]:
    """A residual block with a large depthwise kernel on the two coarsest grids."""

    def family(site: Site) -> Family:
        def make(n: int) -> Candidate | None:
            if causal and len(site.grid) > 1:
                return None
            words = f"add a residual depthwise {'×'.join([str(LARGE[n])] * len(site.grid))} kernel"
            return _inserted(found, "large_kernel", site, blocks.large_kernel(LARGE[n], causal=causal), words)

        return Family("large_kernel", len(LARGE), make)

    return [family(site) for site in found.sites[:2]]


def _blocks(found: Survey) -> list[Family]:
    """What is put behind the coarsest grid."""
    rows: list[tuple[ChangeKind, blocks.Block, str]] = [
        ("context", blocks.dilated_context, "add an ASPP block (dilated branches)"),
        ("context", blocks.pooled_context, "add an SPP block (pools of 5, 9, 13)"),
        ("extra_stage", blocks.coarser_stage, "add a stage at half the grid with a skip"),
        ("attention", blocks.attention, "add self-attention"),
    ]

    def family(site: Site, kind: ChangeKind, block: blocks.Block, words: str) -> Family:
        return Family(kind, 1, lambda n: _inserted(found, kind, site, block, words))

    return [family(site, *row) for site in found.sites[:1] for row in rows]


def _inserted(found: Survey, kind: ChangeKind, site: Site, block: blocks.Block, words: str) -> Candidate | None:
    layers = block(site)
    if layers is None:
        return None
    tree = with_layers(found.tree, site.keys, site.index, layers)
    names = tuple(str(layer["name"]) for layer in layers)
    edit = Edit(layer=names[0], field="layer", before="none", after=f"behind {site.behind}")
    told = f"{words} behind {site.behind} ({'×'.join(map(str, site.grid))} units)"
    return _checked(found, kind, told, [edit], tree, new=names)


def _grids(found: Survey) -> list[Family]:
    """A stem of twice the stride; and the last stages dilated with their strides dropped (output stride 16, 8)."""
    first = next((spot for spot in found.convs if spot.keys == ("layers",)), None)
    listed = [] if first is None else [_stem(found, first)]
    return [*listed, Family("output_stride", 2, lambda n: _unstrided(found, (4, 8)[n]))]


def _stem(found: Survey, first: Spot) -> Family:
    def make(n: int) -> Candidate | None:
        tree = deepcopy(found.tree)
        if not strided(2)(first.list_in(tree), first.index):
            return None
        edits = _edits([first], tree, ("stride",))
        return _checked(found, "stride", f"give the stem {first.path} twice the stride", edits, tree)

    return Family("stride", 1, make)


def _unstrided(found: Survey, factor: int) -> Candidate | None:
    """The last stage without its stride and with dilated kernels: a finer grid; factor 2 would keep the ERF."""
    tree, strides, late = deepcopy(found.tree), found.into(found.coarsest), found.on(found.coarsest)
    if not strides or not late:
        return None
    altered = [
        *(unstrided(spot.list_in(tree), spot.index) for spot in strides),
        *(dilated(factor)(spot.list_in(tree), spot.index) for spot in late),
    ]
    edits = [*_edits(strides, tree, ("stride",)), *_edits(late, tree, ("dilation",))]
    told = f"drop the last stage's stride and dilate {_layers(late)} by {factor}"
    return _checked(found, "output_stride", told, edits, tree) if all(altered) else None


def _pairs(found: Survey) -> list[Family]:
    """Two small changes at once: dilations by turns, and a block behind the coarsest grid."""
    group = max(_groups(found), key=len)
    if not found.sites or len(group) < 2:
        return []
    rows: list[list[tuple[Sequence[int], ChangeKind, blocks.Block, str]]] = [
        [(turn, "large_kernel", blocks.large_kernel(size), f"add a residual depthwise kernel of {size}")
         for turn, size in zip(TURNS, LARGE, strict=False)],
        [(turn, "context", blocks.dilated_context, "add an ASPP block") for turn in TURNS],
    ]  # fmt: skip
    return [Family("combined", len(row), lambda n, row=row: _pair(found, group, *row[n])) for row in rows]  # type: ignore[misc]


def _pair(
    found: Survey, group: Sequence[Spot], turn: Sequence[int], kind: ChangeKind, block: blocks.Block, words: str
) -> Candidate | None:
    first = _levels(found, "dilation", group, [[dilated(n) for n in turn]], _turns).make(0)
    if first is None:
        return None
    tree = first.architecture.model_dump(mode="json", exclude_unset=True)
    second = _inserted(replace(found, tree=tree), kind, found.sites[0], block, words)
    if second is None:
        return None
    told = f"{first.title}; {second.title}"
    return replace(second, kind="combined", title=told, edits=(*first.edits, *second.edits))


def _checked(
    found: Survey, kind: ChangeKind, title: str, edits: Sequence[Edit], tree: Json,
    *, new: tuple[str, ...] = (), reshaped: tuple[str, ...] = (),
) -> Candidate | None:  # fmt: skip
    """None where the layers behind do not take the new shape: then it is not a change that can be made."""
    try:
        changed = Architecture.model_validate(tree)
        infer(changed, found.shape)
    except (ValidationError, ProblemError):
        return None
    return Candidate(kind, title, tuple(edits[:MOST_EDITS]), changed, new, reshaped)
