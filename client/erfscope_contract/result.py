"""What a measurement answers: Job.result."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = float | None  # a scalar that may be undefined for this map (never NaN on the wire)
Box = Annotated[list[tuple[int, int]], Field(description="One half-open [start, stop) per spatial axis, in pixels.")]


class Frozen(BaseModel):
    """Base of everything the service says; unknown fields of a newer server are ignored by older clients."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PassedOver(Frozen):
    """A tensor that was not taken: a layer by `auto`, or an input."""

    name: str
    why: str = Field(description="The reason, in words.")


class LayerInfo(Frozen):
    """The tensor that holds the unit."""

    name: str
    operator: str
    shape: list[int] = Field(description="Without the batch axis.")
    spatial_axes: list[int] = Field(description="Positions in `shape` of the axes that follow the input's space.")
    passed_over: list[PassedOver] = Field(
        default_factory=list,
        description="What layer=auto passed over before it took this tensor, nearest to the output first.",
    )
    why: str = Field("", description="Why this tensor was taken, in words.")


class InputTaken(Frozen):
    """The input that was measured."""

    name: str
    why: str = Field(description="Why this one, in words.")
    passed_over: list[PassedOver] = Field(default_factory=list, description="Other inputs, and why they were not.")


class Reach(Frozen):
    """How far the box extends from the projected centre: pixels per axis, the largest over the phases."""

    before: list[float] = Field(description="Pixels from the projected centre to the start of the box, per axis.")
    after: list[float] = Field(description="Pixels from the projected centre to the end of the box, per axis.")


class Trf(Frozen):
    """Theoretical receptive field of the unit; exact, unclipped."""

    size: list[int] = Field(description="Pixels per input axis.")
    stride: list[Number] = Field(
        description="Pixels that the projected centre moves per unit; null where neighbours do not move by it."
    )
    box: Box
    center: list[float] = Field(description="Projected centre of the unit, in pixel-centre coordinates.")
    clipped: bool = Field(description="The box sticks out of the input.")
    is_global: bool = Field(alias="global", description="An operator on the way sees its whole input.")
    widened_by: list[str] = Field(description="Operators that made it global, by layer name.")
    seen: Box | None = Field(
        None, description="The part of the box that is really read on this image; null where nothing of it is."
    )
    alignment: list[int] | None = Field(
        None,
        description="Tiles must start at multiples of this to give the same values, pixels per axis; null where it "
        "is not constant.",
    )
    reach: Reach | None = Field(None, description="Pixels needed before and after the projected centre.")
    causal: bool = Field(False, description="One-sided: the unit reads nothing behind its own place.")
    local_box: Box | None = Field(
        None,
        description="Where the field is global only through statistics (InstanceNorm, GroupNorm, LayerNorm over "
        "space, squeeze-and-excite): the box without those paths. Null elsewhere.",
    )
    local_without: list[str] = Field(
        default_factory=list, description="The operators whose paths local_box leaves out, by layer name."
    )

    model_config = ConfigDict(
        frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class Erf(Frozen):
    """Luo's ERF size: N**(1/d) of the N pixels above a share of the centre's value."""

    size: Number = Field(description="Pixels above 4.55 % of the centre (2 sigma), as a side.")
    ratio: Number = Field(description="size / TRF side (geometric mean over axes).")
    ratio_clipped: Number = Field(description="size / side of the TRF clipped to the input.")
    size_1sigma: Number = Field(description="The same above 31.73 % of the centre (1 sigma).")
    size_peak: Number = Field(description="The same above 4.55 % of the maximum.")
    limited: list[str] = Field(
        default_factory=list,
        description="Flat names of the sizes that the input limits: their pixels reach a border of the input behind "
        "which the TRF continues.",
    )


class MassArea(Frozen):
    """The smallest areas that hold a share of the map's mass."""

    side: Number = Field(description="Smallest real side of the box around the projected centre, in pixels.")
    ratio: Number = Field(description="Clipped box / input.")
    pixels: int = Field(description="Smallest set of pixels.")


class Rival(Frozen):
    """One fitted shape; lower AIC and BIC are better."""

    shape: str
    r2: Number
    aic: Number
    bic: Number


class GaussianFit(Frozen):
    """How Gaussian the map is."""

    sigma: list[Number] = Field(description="Standard deviations along the principal axes, largest first, pixels.")
    theta: Number = Field(None, description="Angle of the first principal axis from the last axis, radians.")
    sigma_axis: list[Number] = Field(default_factory=list, description="Standard deviation per input axis, pixels.")
    fit_sigma: list[Number] | None = Field(None, description="The same by least squares.")
    r2: Number = Field(None, description="Coefficient of determination of the least-squares fit.")
    excess_kurtosis: list[Number] = Field(default_factory=list, description="Per axis; 0 for a Gaussian.")
    ranking: list[Rival] = Field(default_factory=list, description="Rival shapes, best first.")


class Marginal(Frozen):
    """Mass along one axis, summed over the others, in bins from the first to the last pixel that is not 0."""

    start: float = Field(description="Centre of the first bin, pixels.")
    step: float = Field(description="Bin width, pixels.")
    share: list[float] = Field(description="Share of the mass per bin.")


class Radial(Frozen):
    """Mass by distance from the projected centre."""

    r50: Number
    r90: Number
    r99: Number
    radius: list[float] = Field(default_factory=list, description="Bin centres, pixels.")
    profile: list[float] = Field(default_factory=list, description="Mean of the map at that radius.")
    cumulative: list[float] = Field(default_factory=list, description="Share of the mass within that radius.")
    marginals: list[Marginal] = Field(default_factory=list, description="One per input axis.")


class Shape(Frozen):
    """Further scalars of the map."""

    offset: list[Number] = Field(description="Centre of mass minus projected centre, pixels per axis.")
    anisotropy: Number = Field(description="Largest over smallest principal sigma.")
    border_mass: Number = Field(description="Share of the fitted Gaussian that falls outside the input.")
    participation: Number = Field(description="(sum m)^2 / sum m^2: effective number of pixels.")
    entropy: Number = Field(description="Of the normalised map, nats.")
    lattice: Number = Field(
        description="Gridding, 0 to 1: spectral energy of the strongest copy of the map's peak at the "
        "periods of strides and dilations, relative to the peak's."
    )
    lattice_frequency: list[float] | None = Field(None, description="Where it is, cycles per pixel and axis.")
    mass_before: Number = Field(
        None, description="Share of the mass at or before the unit's own place, for causal fields; null for others."
    )


class Samples(Frozen):
    """What the average is over."""

    used: int
    dead: int = Field(description="Samples whose gradient is exactly zero; counted in the average.")


class Verify(Frozen):
    """One sample by plain autograd on the whole network, beside the same sample as it was measured."""

    relative_difference: float = Field(
        description="L2 norm of the difference of the two gradients over the norm of autograd's; 0 is the same."
    )


class AutogradRun(Frozen):
    """An operator that autograd ran on whole tensors, because it could not be computed on a part of them."""

    operator: str
    why: str = Field(description="The reason, in words.")


class Provenance(Frozen):
    """Everything that decides the bytes of this result."""

    schema_version: int = 1
    engine: str
    torch: str
    device: str
    dtype: str
    threads: int
    micro_batch: int
    draws_together: int = Field(1, description="Draws of the weights that run at once; 1 is one by one.")
    seed: int
    model_sha256: str | None = None
    layer: str
    statistic: str
    channels: str = Field(description="sum, random (signs), or the numbers of the channels: 0, 5.")
    source: str
    weights: str
    protocol: str = Field("erfscope", description="erfscope, replknet, or both: r of replknet beside the others.")
    method: str = Field("gradient", description="gradient, or analytic: expected squares, nothing sampled.")
    samples: int
    draws: int = Field(1, description="Draws of the weights that the samples are over, samples / draws inputs each.")
    input_shape: list[int]
    notes: list[str] = Field(default_factory=list, description="What a reader must know, in words.")
    autograd: list[AutogradRun] = Field(
        default_factory=list, description="Operators that autograd ran on whole tensors, and why."
    )


class LayerProfile(Frozen):
    """One row of the profile along depth."""

    name: str
    operator: str
    shape: list[int]
    trf_size: list[int]
    trf_stride: list[Number]
    is_global: bool = False
    erf_size: Number = None
    erf_ratio: Number = None
    sigma: list[Number] = Field(default_factory=list)
    mass_50_side: Number = None
    unit: list[int] = Field(default_factory=list, description="The measured unit: the centre.")
    trf: Trf | None = None
    erf: Erf | None = None
    mass: dict[str, MassArea] = Field(default_factory=dict, description="By share: 0.20, 0.30, 0.50, 0.99.")
    stderr: dict[str, Number] = Field(
        default_factory=dict,
        description="Standard error of sizes, sigmas and mass areas by flat name; a metric that has none is absent.",
    )
    samples: Samples | None = None
    scale_log2: float = Field(0.0, description="This layer's map (maximum 1) times 2**scale_log2 is the raw one.")


class UnitEntry(Frozen):
    """One unit of a grid."""

    unit: list[int]
    trf: Trf
    erf: Erf
    mass: dict[str, MassArea]
    stderr: dict[str, Number] = Field(
        default_factory=dict, description="Standard error by flat name; a metric that has none is absent."
    )
    samples: Samples
    scale_log2: float = Field(description="This unit's map (maximum 1) times 2**scale_log2 is the raw one.")


class KeptMaps(Frozen):
    """What is kept beside the main map: those of `units` and `layers`, in their order, where they are not too large."""

    units: bool = False
    layers: bool = False
    image: bool = Field(False, description="The first image, as the network saw it: what `overlay` draws the map over.")


class ErfResult(Frozen):
    """The measurement: theoretical and effective receptive field of one unit, with errors and provenance."""

    layer: LayerInfo
    unit: list[int] = Field(
        description="Indices along the layer's spatial axes; the full index where the request gave one."
    )
    input_shape: list[int] = Field(description="[C, spatial …] without the batch.")
    input: InputTaken | None = Field(None, description="Which input of an ONNX model it is, and why.")
    trf: Trf
    erf: Erf
    mass: dict[str, MassArea] = Field(description="By share: 0.20, 0.30, 0.50, 0.99.")
    gaussian: GaussianFit
    radial: Radial
    shape: Shape
    stderr: dict[str, Number] = Field(
        default_factory=dict, description="Standard error by flat name; a metric that has none is absent."
    )
    samples: Samples
    layers: list[LayerProfile] = Field(default_factory=list)
    units: list[UnitEntry] = Field(default_factory=list)
    maps: KeptMaps = KeptMaps()
    replknet: dict[str, Number] | None = Field(
        None, description="Area ratio r by share (0.20, 0.30, 0.50, 0.99); protocol replknet or both."
    )
    verify: Verify | None = Field(None, description="Where the request asked for it (verify=true).")
    scale_log2: float = Field(description="Stored map (maximum 1) times 2**scale_log2 is the raw one.")
    provenance: Provenance
