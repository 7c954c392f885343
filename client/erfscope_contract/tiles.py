"""Tiles: how an image is cut so that a network gives on the tiles what it gives on the whole image."""

from typing import Annotated

from pydantic import Field

from erfscope_contract.about import About
from erfscope_contract.job import LARGEST, Work
from erfscope_contract.request import Extent, InputOptions, ModelRef, Strict, Weights
from erfscope_contract.result import Frozen, Number, Reach

Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=4096)]], Field(max_length=64)]
Extents = Annotated[list[Extent], Field(min_length=1, max_length=3)]
ImageExtent = Annotated[int, Field(ge=1, le=1 << 24)]  # 17 minutes of sound at 16 kHz; it is never computed whole
HaloSize = Annotated[int, Field(ge=0, le=65_536)]
Range = Annotated[tuple[int, int], Field(description="Half-open: [start, stop).")]


class TilesRequest(Strict):
    """A network, and the size of the tiles that it runs on."""

    model: ModelRef = Field(description="A stored ONNX model, or an architecture spec.")
    tile: Extent | Extents = Field(
        description="Size of a tile in input pixels, halo included: one number for all axes, or one for each."
    )
    image: Annotated[list[ImageExtent], Field(min_length=1, max_length=3)] | None = Field(
        None,
        description="Size of the image to cut, per axis; the answer then lists where the tiles start. Along an axis "
        "where it is no larger than a tile, it is not cut.",
    )
    layers: Names = Field(
        default_factory=list,
        description="The tensors that must be the same on a tile as on the whole image. Empty (the default): all "
        "outputs of the network whose units lie in the input's space.",
    )
    halo: HaloSize | Annotated[list[HaloSize], Field(min_length=1, max_length=3)] | None = Field(
        None,
        description="Halo to cut with in input pixels, before and after: one number for all axes, or one for each; "
        "rounded up to whole units of the layers. Its error is `checked.asked`. Default: the exact one.",
    )
    input: InputOptions = Field(
        InputOptions(),
        description="Its name and shape, where they are not the model's own, and the source of the check's samples.",
    )
    weights: Weights = Field(Weights.GIVEN, description="The model's own, or a scheme that draws every one anew.")
    samples: Annotated[int, Field(ge=1, le=100)] = Field(
        1, description="Inputs of the check; of each, tiles at the corners and in the middle are run."
    )


class TiledLayer(Frozen):
    """One tensor of the network, as it comes out of a tile."""

    name: str
    operator: str
    shape: list[int] = Field(description="On one tile, without the batch axis.")
    spatial_axes: list[int] = Field(description="Positions in `shape` of the axes that follow the input's space.")
    stride: list[float] = Field(description="Input pixels from one unit to the next; below 1 where it is finer.")
    trf_size: list[int] = Field(description="Pixels per input axis, of the centre unit.")
    trf_largest: list[int] = LARGEST
    reach: Reach
    crop: list[Range] = Field(description="The units of an inner tile to keep, per axis.")
    causal: bool = Field(description="One-sided: it needs no halo after a tile.")


class TileGrid(Frozen):
    """Where the tiles of one image are."""

    image: list[int] = Field(description="Pixels per axis.")
    tiles: list[list[Range]] = Field(description="Per axis: what each tile reads, input pixels of the image.")
    keeps: list[list[Range]] = Field(description="Per axis: the part of the image for which each tile's output counts.")
    count: int = Field(description="Tiles in all.")


class HaloError(Frozen):
    """How wrong tiles are with one halo, from the check: its inputs, and the weights of the request."""

    halo: list[tuple[int, int]] = Field(
        description="Per axis: input pixels cut off at the start and at the end of an inner tile."
    )
    step: list[int] = Field(
        default_factory=list, description="Input pixels from one tile to the next with this halo, per axis; 0: no room."
    )
    efficiency: float | None = Field(None, description="Share of an inner tile that is kept with this halo.")
    max_error: float = Field(
        description="Largest difference between such tiles and whole, over the largest absolute value of the whole; "
        "of the layer that differs most. No unit."
    )
    relative_error: float = Field(
        description="Root mean square of the difference over that of the whole, in what the tiles keep; of the layer "
        "that differs most. No unit."
    )


class Checked(Frozen):
    """The check: tiles at the corners and in the middle of an input, of every input compared with the whole."""

    image: list[int] = Field(description="Size of that image, input pixels per axis.")
    tiles: int = Field(description="How many tiles were run, of all inputs.")
    max_error: float = Field(
        description="Largest difference between cropped tiles and whole, over the largest absolute value of the whole."
    )
    outside: Number = Field(
        None,
        description="The same for what the crop leaves out: how wrong uncropped tiles are. Null if nothing is cropped.",
    )
    by_halo: list[HaloError] = Field(
        default_factory=list,
        description="Halos of 0, ¼, ½, ¾ and all of the exact one (rounded up to pixels), and the one that is asked "
        "for, smallest first, with their errors. Empty if nothing is cropped, and from an older service.",
    )
    asked: HaloError | None = Field(None, description="The row of the halo that the request asks for.")
    dtype: str = Field(description="Arithmetic of the check. float64 where float32 rounds too coarsely to tell.")


class Tiles(Frozen):
    """Halo, alignment and crop of a network's tiles, checked on the network itself."""

    schema_version: int = 1
    about: About | None = Field(None, description="Which model and samples; null from an older service.")
    tile: list[int] = Field(description="Input pixels per axis, halo included.")
    halo: list[tuple[int, int]] = Field(
        description="Per axis: how many input pixels at the start and at the end of an inner tile "
        "are wrong; not rounded up to the alignment. Where the request names a halo: that one, with all that follows."
    )
    exact_halo: list[tuple[int, int]] | None = Field(
        None, description="The halo with which tiles are exact; null where `halo` is that."
    )
    alignment: list[int] = Field(description="Tiles start at multiples of this, input pixels per axis.")
    crop: list[Range] = Field(
        description="The part of an inner tile that is right, in input pixels per axis: the tile without its halo."
    )
    step: list[int] = Field(
        description="Input pixels from one tile to the next: the most multiples of the alignment that `crop` holds."
    )
    efficiency: float = Field(description="Share of an inner tile that is kept: step over tile, over all axes.")
    reach: Reach = Field(description="The largest over the layers and their phases.")
    layers: list[TiledLayer]
    grid: TileGrid | None = Field(None, description="The tiles of `image`, where the request names one.")
    checked: Checked
    input_shape: list[int] = Field(description="[C, spatial …] of the model's own input, without the batch.")
    notes: list[str] = Field(default_factory=list)
    engine: str
    torch: str


class TilesLinks(Frozen):
    """Where the parts of the job are."""

    self: str


class TilesJob(Work):
    """A question for tiles on its way to its answer."""

    request: TilesRequest
    result: Tiles | None = None
    links: TilesLinks
