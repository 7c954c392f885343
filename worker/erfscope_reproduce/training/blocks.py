"""Where training changes the ERF: its size at the output of each residual block, before and after."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from erfscope_reproduce.bench import Bench, Shot
from erfscope_reproduce.draw import Axis, Series, chart
from erfscope_reproduce.finding import Picture, Row, Verdict
from erfscope_reproduce.training import fit

if TYPE_CHECKING:
    from erfscope_engine.network import Network


@dataclass(frozen=True)
class Blocks:
    """One shot of each block's output, from the input on; `centres`: the energy at the middle of 3×3 kernels."""

    shots: list[Shot]
    centres: list[float]


def blocks_of(bench: Bench, network: "Network", how: str, side: int) -> Blocks:
    """The blocks of a network on noise of side × side pixels."""
    from erfscope_engine import layers_of

    wide, inputs = replace(network, input_shape=(network.input_shape[0], side, side)), bench.choose(4, 16)
    names = [layer.name for layer in layers_of(wide) if layer.name.endswith(".sum")]
    shots = [bench.measure_network(wide, how, inputs=inputs, layer=name) for name in names]
    return Blocks(shots, _centres(network))


def _centres(network: "Network") -> list[float]:
    """Of each 3×3 convolution in order, the share of its squared weights that lies in the middle."""
    kernels = [p.detach().double() ** 2 for module in fit.modules(network) for p in module.parameters()]
    energies = [kernel.sum((0, 1)) for kernel in kernels if kernel.shape[2:] == (3, 3)]
    return [float(energy[1, 1] / energy.sum()) for energy in energies]


def rows_of(before: Blocks, after: Blocks) -> list[Row]:
    """What the first half of the blocks and the second half add to the size, and where kernels put their weight."""
    half = len(before.shots) // 2
    rows = []
    for when, blocks in (("before", before), ("after", after)):
        middle, end = (blocks.shots[k].quantity("erf_size") for k in (half - 1, -1))
        parts = {
            f"of the first {half} blocks": middle,
            f"that blocks {half + 1} to {len(blocks.shots)} add": end - middle,
        }
        for what, size in parts.items():
            how = blocks.shots[-1].how
            rows.append(Row("S11", f"ERF size {what}, {when} training", "–", size, Verdict.MEASURED, how, "px"))
    return rows


def picture_of(before: Blocks, after: Blocks) -> Picture:
    """The size along the blocks, before and after."""
    depth = list(range(1, len(before.shots) + 1))
    series = []
    for words, blocks in (("before training", before), ("after training", after)):
        sizes = [shot.quantity("erf_size") for shot in blocks.shots]
        series.append(Series(words, depth, [size.value for size in sizes], [size.error or 0.0 for size in sizes]))
    png = chart("ERF along the network", Axis("residual block"), Axis("ERF size (px)"), series)
    first, last = ([blocks.centres[k] for blocks in (before, after)] for k in (0, -1))
    return Picture(
        "s11-blocks",
        png,
        "ERF size at the output of each block, on noise. Share of a 3×3 kernel's squared weights in its middle (1/9 = "
        f"0.11 where even), before and after: first convolution {first[0]:.2f} and {first[1]:.2f}, last "
        f"{last[0]:.2f} and {last[1]:.2f}, mean {_mean(before.centres):.2f} and {_mean(after.centres):.2f}.",
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
