"""S19: spectrograms and waveforms: axes that mean different things, and kernels that do not weigh the middle most."""

import math

from erfscope_contract.architecture import AnyLayer, Architecture, Init, InitOptions, InputSpec
from erfscope_contract.architecture.layers import Conv
from erfscope_contract.architecture.pointwise import Activation
from erfscope_contract.architecture.spec import Repeat
from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import sheet
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.judge import exact, within

DEPTH = 8
KERNEL = [3, 7]  # frequency, time
CAUSAL = [1.0, 2.0, 4.0]  # the latest of three steps weighs most
AXES = "Axes are named from the last: y is frequency and x is time in a spectrogram [channels, frequency, time]."


def spectrogram_net(depth: int = DEPTH) -> Architecture:
    """Kernels of 3 bins × 7 steps on 64 bins × 160 steps, with ReLU."""
    conv = Conv(out_channels=16, kernel_size=KERNEL, padding="same", bias=False)
    layers: list[AnyLayer] = [conv, Activation(type="relu")]
    return Architecture(
        name="spectrogram",
        input=InputSpec(channels=1, size=[64, 160]),
        init=Init.KAIMING_NORMAL,
        layers=[Repeat(times=depth, layers=layers)],
    )


def waveform_net() -> Architecture:
    """Five 1-D convolutions of 9 samples with stride 2."""
    conv = Conv(out_channels=16, kernel_size=9, stride=2, padding=4, bias=False)
    layers: list[AnyLayer] = [conv, Activation(type="relu")]
    return Architecture(
        name="waveform",
        input=InputSpec(channels=1, size=[1025]),
        init=Init.KAIMING_NORMAL,
        layers=[Repeat(times=5, layers=layers)],
    )


def causal_net() -> Architecture:
    """Kernels that weigh frequency evenly and time towards its end; no padding, nothing drawn."""
    taps = [frequency * time for frequency in (1.0, 1.0, 1.0) for time in CAUSAL]
    conv = Conv(out_channels=1, kernel_size=3, bias=False)
    return Architecture(
        name="causal",
        input=InputSpec(channels=1, size=[2 * DEPTH + 3, 2 * DEPTH + 3]),
        init=InitOptions(scheme=Init.TAPS, taps=taps),
        layers=[Repeat(times=DEPTH, layers=[conv])],
    )


def axes_apart(bench: Bench) -> Finding:
    """S19: per-axis metrics of a spectrogram, a waveform and a net with non-central weights."""
    draws = bench.choose(20, 100)
    heard = bench.measure(spectrogram_net(), inputs=1, draws=draws)
    wave = bench.measure(waveform_net(), inputs=1, draws=draws)
    panels = [(heard.map, "spectrogram: time to the right"), (wave.map, "waveform")]
    picture = Picture("s19-maps", sheet("Axes that mean different things", panels), "A spectrogram 64×160, a waveform.")
    return Finding([*_sigma_rows(heard), _ratio_row(heard), _wave_row(wave), *_offset_rows(bench)], [picture], AXES)


def _sigma_rows(shot: Shot) -> list[Row]:
    named = {"y": "frequency", "x": "time"}
    return [
        Row(
            id="S19",
            claim=f"spectrogram: sigma along {word}",
            published="not treated",
            ours=shot.quantity(f"sigma_{axis}"),
            unit="bins" if axis == "y" else "steps",
            verdict=Verdict.MEASURED,
            how=shot.how,
            note=f"TRF {shot.result.trf.size[number]}",
        )
        for number, (axis, word) in enumerate(named.items())
    ]


def _ratio_row(shot: Shot) -> Row:
    expected = math.sqrt((KERNEL[1] ** 2 - 1) / (KERNEL[0] ** 2 - 1))
    ratio = shot.quantity("sigma_x") / shot.quantity("sigma_y")
    return Row(
        id="S19",
        claim=f"sigma along time over sigma along frequency is √(Var/Var) = {expected:.2f}",
        published="theory (S2), per axis",
        ours=ratio,
        unit="times",
        verdict=within(ratio, expected, 0.1),
        how=shot.how,
    )


def _wave_row(shot: Shot) -> Row:
    return Row(
        id="S19",
        claim="waveform: ERF of five 1-D convolutions with stride 2",
        published="not treated",
        ours=shot.quantity("erf_size"),
        unit="samples",
        verdict=Verdict.MEASURED,
        how=shot.how,
        note=f"TRF {shot.result.trf.size[0]}; R² of a Gaussian {shot.quantity('r2').value:.3f}",
    )


def _offset_rows(bench: Bench) -> list[Row]:
    shot = bench.measure(causal_net(), inputs=1, dtype="float64")
    mean = sum(place * weight for place, weight in enumerate(CAUSAL)) / sum(CAUSAL)
    expected = {"y": 0.0, "x": DEPTH * (mean - 1)}
    words = {"y": "frequency", "x": "time"}
    return [
        _offset_row(shot, words[axis], shot.quantity(f"offset_{axis}").value, value) for axis, value in expected.items()
    ]


def _offset_row(shot: Shot, axis: str, found: float, expected: float) -> Row:
    return Row(
        id="S19",
        claim=f"non-central weights move the centre of mass along {axis} by n·(E[X] − middle) = {expected:.4g}",
        published="theory (S3)",
        ours=Quantity(found, 0.0),
        unit="px",
        verdict=exact(abs(found - expected), 1e-9),
        how=shot.how,
    )
