"""S25: the field along frequency limited by itself (Koutini et al. 2019–21)."""

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InputSpec
from erfscope_contract.architecture.layers import Conv
from erfscope_contract.architecture.pointwise import Activation
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import sheet
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.judge import below, within

ID = "S25"
DEPTH, SIDE = 16, 57
LIMITED = (0, 6, 12)  # of the last layers: kernels that are 1 bin high
REMARK = """\
Koutini, Eghbal-zadeh and Widmer (arXiv 1907.01803 and later) find for spectrograms that too large a field over
frequency hurts, and limit it. Their accuracies are not comparable, because they are trained on sound that the project
does not hold; what is shown is that the two axes can be set apart, in TRF and ERF.
The network is a stack of our own: 16 layers with ReLU, of which the last ones have kernels of 1 bin × 3 steps."""


def stack(limited: int) -> Architecture:
    """DEPTH convolutions with ReLU; the last `limited` see one bin and three steps."""
    layers: list[AnyLayer] = []
    for number in range(DEPTH):
        high = 1 if number >= DEPTH - limited else 3
        layers += [
            Conv(out_channels=16, kernel_size=[high, 3], padding=[high // 2, 1], bias=False),
            Activation(type="relu"),
        ]
    return Architecture(
        name=f"spectrogram, {limited} of {DEPTH} limited",
        input=InputSpec(channels=1, size=[SIDE, SIDE]),
        init=Init.KAIMING_NORMAL,
        layers=layers,
    )


def frequency_apart(bench: Bench) -> Finding:
    """S25: sigma along frequency and along time, with more and more layers limited along frequency."""
    draws = bench.choose(12, 60)
    shots = {limited: bench.measure(stack(limited), inputs=1, draws=draws) for limited in LIMITED}
    base = shots[0]
    rows = [row for limited, shot in shots.items() if limited for row in _rows(limited, shot, base)]
    panels = [(shot.map, f"{limited} of {DEPTH} layers limited") for limited, shot in shots.items()]
    png = sheet("Frequency limited, time as it was", panels, columns=3, axes=("frequency (bin)", "time (step)"))
    return Finding(rows, [Picture("s25-maps", png, "Time to the right; colours as √ of the map.")], REMARK)


def _rows(limited: int, shot: Shot, base: Shot) -> list[Row]:
    frequency, time = (shot.quantity(f"sigma_{axis}") / base.quantity(f"sigma_{axis}") for axis in "yx")
    expected = ((DEPTH - limited) / DEPTH) ** 0.5
    words = f"the last {limited} of {DEPTH} kernels 1 bin high"
    high, wide = shot.result.trf.size
    note = f"TRF {high} bins, {wide} steps"
    return [
        _row(f"{words}: sigma along frequency falls", frequency, below(frequency, 1.0), shot.how, note),
        _row(f"{words}: it falls to √(layers left) = {expected:.2f}, as variances add (S2)", frequency,
             within(frequency, expected, 0.08), shot.how, note),
        _row(f"{words}: sigma along time stays", time, within(time, 1.0, 0.08), shot.how, note),
    ]  # fmt: skip


def _row(claim: str, ours: Quantity, verdict: Verdict, how: str, note: str) -> Row:
    return Row(ID, claim, "the axes act apart; no figure", ours, verdict, how, "times", note)
