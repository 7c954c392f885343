"""How far back a causal unit of a signal listens. Pure."""

from erfscope_contract.lengths import Lengths
from erfscope_contract.numbers import digits
from erfscope_contract.result import ErfResult, Number

SHARES = {"0.50": "50 %", "0.99": "99 %"}


def back_of(side: Number, trf: float) -> Number:
    """How far back the mass of a box reaches, in the box's unit; None where its side is not known.

    The box is centred at the unit's place, and its half behind that place is empty.
    """
    return None if side is None else min(side / 2, trf)


def listens_back(result: ErfResult, lengths: Lengths) -> str | None:
    """`50 % within 0.022 s, 99 % within 0.059 s, all within 0.064 s`; None where a field is not a causal one of a line.

    Of a global field, which has no end, not all.
    """
    trf = result.trf
    if not trf.causal or len(trf.size) != 1:
        return None
    backs = {words: back_of(area.side, trf.size[0]) for share, words in SHARES.items()
             if (area := result.mass.get(share)) is not None}  # fmt: skip
    parts = [(words, back) for words, back in backs.items() if back is not None]
    parts += [] if trf.is_global else [("all", float(trf.size[0]))]
    return ", ".join(f"{words} within {digits(back * lengths.mean, 3)} {lengths.unit}" for words, back in parts)
