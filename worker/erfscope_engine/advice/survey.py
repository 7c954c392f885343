"""What a spec's layers are up to the measured one: grids, the stages that they make, and where a block fits in."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from erfscope_contract.architecture import Architecture, infer
from erfscope_engine.advice.alter import is_dilatable
from erfscope_engine.advice.tree import Json, Keys, Spot, list_at, segment, spots, widest

DOWN = ("conv", "max_pool", "avg_pool", "lp_pool")


@dataclass(frozen=True)
class Site:
    """A place between layers: a list and an index there, and the tensor at it."""

    keys: Keys
    index: int
    channels: int
    grid: tuple[int, ...]
    behind: str  # the layer before it, for people


@dataclass(frozen=True)
class Survey:
    """The spec's JSON, its convolutions with several taps up to the measured layer, and its grids."""

    tree: Json
    shape: tuple[int, ...]  # of the input, without the batch
    convs: tuple[Spot, ...]
    grids: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]  # (input grid, output grid) by place in the spec
    sites: tuple[Site, ...]  # coarsest grid first
    shapes: dict[str, tuple[int, ...]]  # by name, of layers and blocks

    @property
    def coarsest(self) -> tuple[int, ...]:
        """The smallest grid that a convolution of the spec works on."""
        return min((self.grids[conv.place][1] for conv in self.convs), key=prod)

    def on(self, grid: tuple[int, ...]) -> list[Spot]:
        """The convolutions that read and write a grid."""
        return [conv for conv in self.convs if self.grids[conv.place] == (grid, grid)]

    def into(self, grid: tuple[int, ...]) -> list[Spot]:
        """The layers whose stride makes a grid."""
        return [
            spot
            for spot in spots(self.tree)
            if spot.layer["type"] in DOWN
            and spot.place in self.grids
            and self.grids[spot.place][1] == grid
            and prod(self.grids[spot.place][0]) > prod(grid)
        ]

    def run(self) -> tuple[Keys, int, int]:
        """The list, start and stop of the layers before the coarsest site that keep its shape, one after another.

        Of the outermost list, or of the sequential block at its place. Empty where there is none.
        """
        if not self.sites:
            return ("layers",), 0, 0
        site = self.sites[0]
        layers, prefix = list_at(self.tree, site.keys), ""
        keys, stop = site.keys, site.index
        if stop and layers[stop - 1]["type"] == "sequential" and site.keys == ("layers",):
            keys, prefix = ("layers", stop - 1, "layers"), f"{segment(layers[stop - 1], stop - 1)}."
            layers = layers[stop - 1]["layers"]
            stop = len(layers)
        elif len(keys) == 3:
            prefix = f"{segment(self.tree['layers'][keys[1]], int(keys[1]))}."
        shape, start = (site.channels, *site.grid), stop
        while start > 1 and self._shape(layers, prefix, start - 1) == self._shape(layers, prefix, start - 2) == shape:
            start -= 1
        return keys, start, stop

    def _shape(self, layers: list[Json], prefix: str, k: int) -> tuple[int, ...]:
        return self.shapes.get(prefix + segment(layers[k], k), ())

    @property
    def finer(self) -> tuple[int, ...] | None:
        """The grid before the coarsest one; None where there is one grid only."""
        before = [self.grids[spot.place][0] for spot in self.into(self.coarsest)]
        return before[0] if before else None


def survey(architecture: Architecture, shape: Sequence[int] | None, layer: str, *, auto: bool) -> Survey:
    """A spec at an input shape, up to the layer of this (whole) name; blocks come before it unless it was chosen."""
    tree = architecture.model_dump(mode="json", exclude_unset=True)
    checked = infer(architecture, shape)
    steps = checked.plan.steps
    last = next((k for k, step in enumerate(steps) if step.name == layer), len(steps) - 1)
    grids = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]()
    for step, out in zip(steps[: last + 1], checked.shapes, strict=False):
        taken = checked.inputs(step)[0]
        if len(out) > 1 and len(taken) > 1:
            grids.setdefault(step.path, (tuple(taken[1:]), tuple(out[1:])))
    convs = tuple(spot for spot in spots(tree) if is_dilatable(spot.layer) and spot.place in grids)
    values = {step.name: checked.shapes[k] for k, step in enumerate(steps[: last + 1])}
    known = values | {alias: values[name] for alias, name in checked.plan.aliases.items() if name in values}
    sites = _sites(tree, known, layer, auto=auto)
    return Survey(tree, tuple(checked.input_shape), convs, grids, tuple(sites), known)


def _sites(tree: Json, known: dict[str, tuple[int, ...]], layer: str, *, auto: bool) -> list[Site]:
    """The end of each run of layers of one grid in the outermost list, coarsest first; one for each grid."""
    layers = tree["layers"]
    shapes = [known.get(segment(one, k), ()) for k, one in enumerate(layers)]
    spatial = [k for k, shape in enumerate(shapes) if prod(shape[1:]) > 1]
    ends = [k for k, after in zip(spatial, [*spatial[1:], None], strict=True)
            if after is None or shapes[after][1:] != shapes[k][1:]]  # fmt: skip
    sites = dict[tuple[int, ...], Site]()
    for k in ends:
        site = _site(layers, k, shapes, layer, auto=auto)
        if site is not None:
            sites.setdefault(site.grid, site)
    return sorted(sites.values(), key=lambda site: prod(site.grid))


def _site(layers: list[Json], k: int, shapes: Sequence[tuple[int, ...]], layer: str, *, auto: bool) -> Site | None:
    """Behind a layer; before it where it is measured by name, or only weighs channels (a classifier)."""
    one, name = layers[k], segment(layers[k], k)
    classifies = one["type"] == "conv" and widest(one["kernel_size"]) == 1 and k == len(layers) - 1
    ends = not auto and (layer == name or layer.startswith(f"{name}."))
    if ends and one["type"] == "sequential":
        return Site(("layers", k, "layers"), len(one["layers"]), shapes[k][0], shapes[k][1:], name)
    if not classifies and not ends:
        return Site(("layers",), k + 1, shapes[k][0], shapes[k][1:], name)
    before = shapes[k - 1] if k else ()
    return Site(("layers",), k, before[0], before[1:], segment(layers[k - 1], k - 1)) if len(before) > 1 else None
