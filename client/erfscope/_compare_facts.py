"""How each result of a comparison was measured, in words: for captions, and for columns of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from erfscope_contract.about import weights_of
from erfscope_contract.result import ErfResult, Number, Provenance

PROTOCOLS: Mapping[str, str] = {
    "erfscope": "Luo et al. 2016",
    "replknet": "RepLKNet's script",
    "both": "Luo et al. 2016, for r RepLKNet's script (statistic relu)",
}
CHANNELS: Mapping[str, str] = {"sum": "sum", "random": "random signs"}  # others are their numbers
COUNTS_INPUTS = "With random weights of one draw, ± covers the inputs alone."


@dataclass(frozen=True)
class Line:
    """One result: its name in parts (model, weights), its metrics and their standard errors by flat name."""

    name: tuple[str, ...]
    metrics: Mapping[str, Number]
    stderr: Mapping[str, Number]
    limited: frozenset[str] = frozenset()  # metrics that are bounds; with erf_size the ratio says nothing
    measured: ErfResult | None = None  # layer, unit, inputs, seed, weights and statistic; None is not known
    is_global: bool = False  # its TRF is all of the input, whatever that measures
    steps: Mapping[str, float] = field(default_factory=dict)  # of the metrics that lie on a grid, by flat name

    @property
    def origin(self) -> Provenance | None:
        """How it was measured."""
        return self.measured.provenance if self.measured else None

    @property
    def statistic(self) -> str:
        """That made the map of the samples' gradients."""
        return self.origin.statistic if self.origin else "abs"


def measuring(lines: Sequence[Line]) -> list[str]:
    """Layer, unit, channels, input, samples and so on: one value, or those of the models or rows, in turn."""
    lines = [line for line in lines if line.origin]
    if not lines:
        return []
    facts = {name: [facts_of(line)[name] for line in lines] for name in facts_of(lines[0]) if name not in heads(lines)}
    several = [values for values in facts.values() if len(set(values)) > 1]
    models = [line.name[0] for line in lines]
    firsts = [models.index(name) for name in dict.fromkeys(models)]
    is_by_model = all(values[n] == values[models.index(name)] for values in several for n, name in enumerate(models))
    shown = firsts if is_by_model else range(len(models))
    listed = {name: [values[n] for n in shown] if values in several else values[:1] for name, values in facts.items()}
    words = "; ".join(f"{name} {' / '.join(values)}" for name, values in listed.items())
    sentences = [f"{words[:1].upper()}{words[1:]}."]
    if several:
        rows = "models" if len(shown) < len(models) else "rows"
        sentences.append(f"Several values are those of the {rows}, from top to bottom.")
    origins = [line.origin for line in lines if line.origin]
    if any(one.weights != "given" and one.draws == 1 and one.method == "gradient" for one in origins):
        sentences.append(COUNTS_INPUTS)
    return sentences


def facts_of(line: Line) -> dict[str, str]:
    """How a result was measured, in words; nothing where that is not known."""
    origin = line.origin
    if origin is None or line.measured is None:
        return {}
    unit, channels = _unit(line.measured)
    return {
        "layer": origin.layer,
        "unit": unit,
        "channels": channels,
        "input": "×".join(map(str, origin.input_shape)),
        "samples": _samples(origin),
        "seed": str(origin.seed),
        "weights": weights_of(line.measured),
        "statistic": origin.statistic,
        "protocol": PROTOCOLS.get(origin.protocol, origin.protocol),
    }


def _unit(result: ErfResult) -> tuple[str, str]:
    """`(7, 3) of 14×14` and what is put on its channels; a full index names its channel itself."""
    shape, axes = result.layer.shape, result.layer.spatial_axes
    unit = f"({', '.join(map(str, result.unit))})"
    if len(result.unit) == len(shape) > len(axes):
        return f"{unit} of {'×'.join(map(str, shape))}", "that of the unit"
    grid = [shape[axis] for axis in axes]
    places = f" of {'×'.join(map(str, grid))}" if len(grid) == len(result.unit) else ""
    channels = result.provenance.channels
    return f"{unit}{places}", CHANNELS.get(channels, channels)


def _samples(origin: Provenance) -> str:
    """`16 inputs (normal)`, `4 draws of the weights, 1 input each (normal)`, or the method that needs none."""
    if origin.method != "gradient":
        return origin.method
    each = origin.samples // max(origin.draws, 1)
    inputs = f"{each} input{'' if each == 1 else 's'}"
    draws = "" if origin.draws == 1 else f"{origin.draws} draws of the weights, "
    return f"{draws}{inputs}{' each' if draws else ''} ({origin.source})"


def heads(lines: Sequence[Line]) -> list[str]:
    """What names a row: the model, or model and weights."""
    return ["model", "weights"] if any(len(line.name) > 1 for line in lines) else ["model"]
