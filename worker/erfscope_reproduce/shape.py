"""S9 and S17: is the map a Gaussian, and which other shapes fit it (figure 1, and the critique of it)."""

from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import Axis, Series, chart, sheet
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.judge import above

DEPTHS = (5, 10, 20, 40)
KINDS = {"ones": "uniform", "linear": "random", "relu": "random + ReLU"}  # variant of the preset → the article's word
GAUSSIAN_ENOUGH = 0.95  # R², our reading of "Gaussian": the article gives no measure
CONTAIN_IT = frozenset({"generalised_gaussian", "student_t"})  # families with a Gaussian inside: never worse than it


def _shot(bench: Bench, depth: int, kind: str) -> Shot:
    runs = 1 if kind == "ones" else 20
    return bench.measure(f"preset:plain-{depth}-{kind}", inputs=1, draws=runs)


def gaussian_shape(bench: Bench) -> Finding:
    """S9: least-squares Gaussians through the maps of figure 1."""
    shots = {(depth, kind): _shot(bench, depth, kind) for depth in DEPTHS for kind in KINDS}
    rows = [_fit_row(shot, depth, kind) for (depth, kind), shot in shots.items()]
    panels = [(shots[depth, kind].map, f"{depth} layers, {KINDS[kind]}") for kind in KINDS for depth in DEPTHS]
    maps = Picture(
        "s9-maps", sheet("Figure 1: maps of plain networks", panels), "20 runs each; colours as √ of the map."
    )
    profiles = Picture("s9-profile", _profiles(shots), "The middle row of the 20-layer maps.")
    return Finding(
        rows,
        [maps, profiles],
        f"The article shows pictures. We call a map Gaussian where a least-squares fit has R² above {GAUSSIAN_ENOUGH}.",
    )


def _fit_row(shot: Shot, depth: int, kind: str) -> Row:
    r2 = shot.quantity("r2")
    kurtosis = shot.result.gaussian.excess_kurtosis[-1]
    return Row(
        id="S9",
        claim=f"{depth} layers, {KINDS[kind]}: the map is Gaussian",
        published="Gaussian",
        ours=Quantity(r2.value, 0.0 if kind == "ones" else r2.error),
        unit="R²",
        verdict=above(r2, GAUSSIAN_ENOUGH),
        how=shot.how,
        note="" if kurtosis is None else f"excess kurtosis {kurtosis:.2f}",
    )


def _profiles(shots: dict[tuple[int, str], Shot]) -> bytes:
    series = []
    for kind, word in KINDS.items():
        line = shots[20, kind].map[shots[20, kind].map.shape[0] // 2]
        middle = len(line) // 2
        series.append(Series(word, [i - middle for i in range(len(line))], [float(v) for v in line], marks=False))
    return chart("20 layers, the middle row", Axis("pixels from the centre"), Axis("share of maximum"), series)


def rival_shapes(bench: Bench) -> Finding:
    """S17: the same maps fitted by other shapes."""
    rows = [_rival_row(_shot(bench, depth, kind), depth, kind) for depth in DEPTHS for kind in KINDS]
    return Finding(
        rows,
        remark="The rank is the Gaussian's by AIC among shapes that do not contain it. The generalised Gaussian and "
        "Student's t do; where they stand before it, the note says by how much they fit better.",
    )


def _rival_row(shot: Shot, depth: int, kind: str) -> Row:
    ranking = shot.result.gaussian.ranking
    fixed = [rival.shape for rival in ranking if rival.shape not in CONTAIN_IT]
    rank = 1 + fixed.index("gaussian")
    told = [
        f"{rival.shape.replace('_', ' ')} {'–' if rival.r2 is None else format(rival.r2, '.4f')}" for rival in ranking
    ]
    return Row(
        id="S17",
        claim=f"{depth} layers, {KINDS[kind]}: no other shape fits better than a Gaussian",
        published="Gaussian, not compared",
        ours=Quantity(rank, 0.0),
        unit=f"rank of {len(fixed)}",
        verdict=Verdict.CONFIRMED if rank == 1 else Verdict.REFUTED,
        how=shot.how,
        note="R², best by AIC first: " + ", ".join(told),
    )
