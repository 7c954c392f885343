"""S20: the ERF along depth: which layers still add to it."""

from itertools import pairwise

from erfscope_contract.result import LayerProfile
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.judge import above

NET, WANT = "luo-conv", 40.0  # its ERF is 19 px
ADDS = 0.02  # a layer that enlarges the ERF by less than this share adds nothing


def profiles(bench: Bench) -> Finding:
    """S20: the profile of a plain stack, and of the same with three strides."""
    inputs = bench.choose(8, 32)
    names = {"luo-conv": "15 convolutions", "luo-subsample": "3 of them with stride 2"}
    shots = {name: bench.measure(f"preset:{name}", inputs=inputs, layers="all") for name in names}
    rows = [row for name, shot in shots.items() for row in (_gain_row(shot, name), _idle_row(shot, name))]
    rows += _advice_rows(bench, NET, WANT)
    series = [series for name, shot in shots.items() for series in _series(shot, names[name])]
    png = chart("Along depth", Axis("convolution"), Axis("size (px)", log=True), series)
    return Finding(
        rows,
        [Picture("s20-profile", png, "Size of TRF and ERF behind each convolution.")],
        "The article does not say how the ERF should change a network's layout. The profile shows where depth stops "
        f"to pay: a convolution that enlarges the ERF by less than {ADDS:.0%} adds nothing. `erfscope advise` searches "
        "the smallest changes that reach a wanted ERF by the analytic method, and measures the best of them.",
    )


def convolutions(shot: Shot) -> list[LayerProfile]:
    """The profile's convolutions."""
    return [layer for layer in shot.result.layers if layer.operator == "conv" and layer.erf_size is not None]


def _series(shot: Shot, words: str) -> list[Series]:
    rows = convolutions(shot)
    order = list(range(1, len(rows) + 1))
    return [
        Series(f"{words}: TRF", order, [float(row.trf_size[0]) for row in rows], dashed=True, marks=False),
        Series(
            f"{words}: ERF",
            order,
            [row.erf_size or 0.0 for row in rows],
            [row.stderr.get("erf_size") or 0.0 for row in rows],
        ),
    ]


def _gain_row(shot: Shot, name: str) -> Row:
    first, *_, last = convolutions(shot)
    return Row(
        id="S20",
        claim=f"{name}: ERF / TRF behind the last convolution",
        published="not treated",
        ours=Quantity(last.erf_ratio or 0.0, last.stderr.get("erf_ratio")),
        verdict=Verdict.MEASURED,
        how=shot.how,
        note=f"behind the first: {first.erf_ratio:.2f}",
    )


def _idle_row(shot: Shot, name: str) -> Row:
    sizes = [row.erf_size or 0.0 for row in convolutions(shot)]
    growth = [after / before - 1 for before, after in pairwise(sizes)]
    idle = [number for number, share in enumerate(growth, start=2) if share < ADDS]
    return Row(
        id="S20",
        claim=f"{name}: convolutions that enlarge the ERF by less than {ADDS:.0%}",
        published="not treated",
        ours=Quantity(len(idle), None),
        unit=f"of {len(growth)}",
        verdict=Verdict.MEASURED,
        how=shot.how,
        note=("they are number " + ", ".join(map(str, idle))) if idle else "none",
    )


def _advice_rows(bench: Bench, net: str, want: float) -> list[Row]:
    """The cheapest changes that were measured, each against what is wanted."""
    advice = bench.advise(f"preset:{net}", want, verify=bench.choose(1, 3))
    measured = [  # a scaled input is another's size in other units, not a measurement of its own
        (change, change.erf_measured)
        for change in advice.changes
        if change.erf_measured is not None and change.input_parts is None
    ]
    return [
        Row(
            id="S20",
            claim=f"advice for {net} and a wanted ERF of {want:g} px: {change.text}",
            published="not treated",
            ours=Quantity(size, change.stderr),
            unit="px",
            verdict=above(Quantity(size, change.stderr), want),
            how=f"erfscope advise preset:{net} --want {want:g}",
            note=f"expected {change.erf_analytic:.1f} px; {advice.tried} changes tried",
        )
        for change, size in measured
    ]
