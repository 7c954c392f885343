"""RepLKNet's area ratio r: its flat names, its largest value on an input, and its steps (few squares are tried)."""

from collections.abc import Mapping, Sequence

from erfscope_contract.result import ErfResult, Number


def ratio_name(share: str) -> str:
    """The flat name of RepLKNet's r at a share: replknet_50 of "0.50"."""
    return f"replknet_{round(100 * float(share))}"


def ratios(replknet: Mapping[str, Number]) -> dict[str, Number]:
    """r by its flat name: replknet_50 of "0.50"."""
    return {ratio_name(share): r for share, r in replknet.items()}


def largest_ratio(size: Sequence[int]) -> float:
    """The largest value that r can have on an input of (height, width): the script tries no larger square."""
    height, width = size
    side = 2 * max(min(height // 2, (width + 1) // 2) - 1, 0) + 1
    return side**2 / (height * width)


def at_largest(replknet: Mapping[str, Number], size: Sequence[int]) -> list[str]:
    """Flat names of the r that take the largest square that the script tries, or that no square reaches (None)."""
    largest = largest_ratio(size) * (1 - 1e-9)
    return [name for name, r in ratios(replknet).items() if r is None or r >= largest]


def step_of(r: float, size: Sequence[int]) -> float:
    """From r to the next larger value that the script can give: its squares grow by 2 pixels a side."""
    area = size[0] * size[1]
    return float(4 * ((r * area) ** 0.5 + 1) / area)


def step_in(result: ErfResult, metric: str) -> float:
    """The same of a result's r, by its flat name; 0 for other metrics, which lie on no grid."""
    r = ratios(result.replknet or {}).get(metric)
    return 0.0 if r is None else step_of(r, result.input_shape[-2:])


def grid_words(replknet: Mapping[str, Number], size: Sequence[int]) -> str:
    """A sentence on the steps of r; empty where no r has a value."""
    steps = ", ".join(
        f"{step_of(r, size):.2g} at {round(100 * float(share))} %" for share, r in replknet.items() if r is not None
    )
    return (
        f"RepLKNet's r lies on a grid, because the script's squares grow by 2 px a side: one step is {steps}. ± of r "
        "is one step, or its standard error where that is larger."
        if steps
        else ""
    )
