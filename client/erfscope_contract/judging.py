"""By which size a level is judged, and how large it must be: the ERF, or the box with half of the mass. Pure."""

from typing import Literal

from erfscope_contract.holding import HOLD, RULE, UNITS_ACROSS

By = Literal["erf_size", "mass_50_side"]

BOX = {2: 0.72, 3: 0.95}
"""Side of the box with half of the mass over the object's size, by the number of axes: two digits of HOLD over the
ratio of ERF and box of a Gaussian map.

Of an image the ratio is √π · √(2 ln(1/0.0455)) σ = 4.406 σ over 2 · √2 erf⁻¹(√½) σ = 2.104 σ; of a volume 1.585.
"""

NOUNS = {"erf_size": "ERF", "mass_50_side": "50 % box"}


def by_choices(rank: int) -> tuple[By, ...]:
    """What levels can be judged by, of an input of so many axes."""
    return ("erf_size", "mass_50_side") if rank in BOX else ("erf_size",)


def share_of(by: By, rank: int) -> float:
    """How many times the object the size must be: the rule of the ERF, for a box that of a Gaussian map."""
    return HOLD if by == "erf_size" else BOX[rank]


def need_of(size: float, by: By, rank: int) -> float:
    """The size that a level needs for objects of `size` pixels."""
    return share_of(by, rank) * size


def rule_of(by: By, rank: int) -> str:
    """The rule as a sentence."""
    if by == "erf_size":
        return RULE
    return (
        f"A level holds an object if the side of the box with half of the mass is at least {share_of(by, rank):g} "
        f"times the object's size (that of a Gaussian map whose ERF is {HOLD:g} times it), and the object is at least "
        f"{UNITS_ACROSS:g} units wide."
    )
