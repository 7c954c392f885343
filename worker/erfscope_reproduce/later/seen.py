"""S24: padding and strides make a network see some pixels less (Alsallakh et al. 2021)."""

from erfscope_contract.architecture import AnyLayer
from erfscope_contract.architecture.layers import Conv
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.draw import sheet
from erfscope_reproduce.finding import Finding, Picture, Quantity, Row, Verdict
from erfscope_reproduce.judge import below, exact
from erfscope_reproduce.later.paths import Counts, counts_of, linear_net, middle, weakest

ID = "S24"
EVEN, ODD = 96, 97  # pixels of the input: with stride 2 the padding of an even one is used on one side alone
DEPTH = 8  # layers of the plain stack
HALVINGS = 3
PUBLISHED = "seen less, in pictures; no figure"
REMARK = """\
Alsallakh, Kokhlikyan, Miglani, Yuan and Reblitz-Richardson, "Mind the Pad: CNNs Can Develop Blind Spots" (ICLR 2021):
zero padding lets pixels at the rim take part in fewer windows, and strides see some rows and columns less. Counted here
for kernels of ones: the paths from a pixel to all units of the output. Trained weights may make up for it or not; the
count is what the layout gives each pixel. The numbers are exact."""


def plain(padding_mode: str) -> list[AnyLayer]:
    """DEPTH 3×3 convolutions that keep the size."""
    return [Conv(out_channels=1, kernel_size=3, padding=1, padding_mode=padding_mode, bias=False)] * DEPTH


def halving(kernel: int) -> list[AnyLayer]:
    """HALVINGS convolutions of stride 2."""
    return [Conv(out_channels=1, kernel_size=kernel, stride=2, padding=1, bias=False)] * HALVINGS


def seen_pixels(bench: Bench) -> Finding:
    """S24: rim against middle, the lattice of strides, and padding that is used on one side."""
    del bench  # nothing is drawn: a quick run gives the same
    counts = {
        "zero padding": counts_of(linear_net("plain", ODD, plain("zeros"))),
        "circular padding": counts_of(linear_net("circular", ODD, plain("circular"))),
        f"stride 2, {ODD} px": counts_of(linear_net("stride", ODD, halving(3))),
        f"stride 2, {EVEN} px": counts_of(linear_net("stride-even", EVEN, halving(3))),
        f"stride 2, kernel 4, {EVEN} px": counts_of(linear_net("stride-4", EVEN, halving(4))),
    }
    zeros, circular, odd, even, four = counts.values()
    rows = [
        _less(
            f"{DEPTH} 3×3 convolutions, zero padding: the outermost pixels are seen less than the middle", rim(zeros)
        ),
        _same("the same with circular padding: as often", rim(circular)),
        _less(f"{HALVINGS} 3×3 convolutions of stride 2: the least seen pixel of the middle", weakest(odd)),
        _same("the same with kernels of 4, a multiple of the stride: no pixel is special", weakest(four)),
        _less(f"stride 2 on {EVEN} px: the last 8 rows are seen less than the first 8", sides(even)),
        _same(f"stride 2 on {ODD} px: the last 8 rows as often as the first 8", sides(odd)),
    ]
    panels = [(one / one.max(), f"{words}: {one.min() / one.max():.2f} to 1") for words, one in counts.items()]
    png = sheet("How often each pixel is seen", panels, columns=3)
    return Finding(rows, [Picture("s24-seen", png, "Paths to all units, over the most that any pixel has.")], REMARK)


def rim(counts: Counts) -> float:
    """The mean of the outermost pixels over that of the middle."""
    outer = [counts[0], counts[-1], counts[1:-1, 0], counts[1:-1, -1]]
    return float(sum(part.sum() for part in outer) / sum(part.size for part in outer) / middle(counts).mean())


def sides(counts: Counts) -> float:
    """The last rows over the first, over one period of the strides and the middle of the width."""
    inner, period = slice(counts.shape[1] // 4, -counts.shape[1] // 4), 2**HALVINGS
    return float(counts[-period:, inner].sum() / counts[:period, inner].sum())


def _less(claim: str, value: float) -> Row:
    return _row(claim, value, below(Quantity(value, 0.0), 1.0))


def _same(claim: str, value: float) -> Row:
    return _row(claim, value, exact(abs(value - 1), 1e-12))


def _row(claim: str, value: float, verdict: Verdict) -> Row:
    return Row(ID, claim, PUBLISHED, Quantity(value, 0.0), verdict, "paths by kernels of ones, float64", "times")
