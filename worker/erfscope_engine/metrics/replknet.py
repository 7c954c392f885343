"""The RepLKNet script's area ratio, digit for digit, so that published tables can be compared with.

It depends on the scale of the gradient (measured: one Gaussian, peak 1e-3 → 1e9,
gives r50 from 1.7 to 15.3 %); the metrics of `mass` do not. Ding, Zhang, Han, Ding, "Scaling Up Your Kernels
to 31x31", CVPR 2022, erf/analyze_erf.py.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from erfscope_contract.flat import SHARES
from erfscope_contract.problem import ProblemError


def score_map(raw: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """log10(x + 1) of a raw (never normalised) map, divided by its maximum; zeros stay zeros.

    A float32 map is scored in float32, as the script does; everything else in float64.
    """
    array = np.ascontiguousarray(raw)
    if array.dtype != np.float32:
        array = array.astype(np.float64)
    score = np.log10(array + 1)
    top = np.max(score)
    return np.asarray(score / top if top > 0 else score)


def area_ratio(raw: npt.ArrayLike, shares: Sequence[str] = SHARES) -> dict[str, float | None]:
    """The script's r by share ("0.20" …): first square with strictly more of the score, over the input.

    Squares of side 2i + 1 around pixel (h // 2, w // 2), i = 1 … h // 2 - 1; None where none suffices. The
    script's slices leave a map that is higher than wide; here the search ends at its border. Raises
    ProblemError `unsupported-feature` for a map that has not 2 axes.
    """
    score = score_map(raw)
    if score.ndim != 2:
        raise ProblemError(
            "unsupported-feature",
            f"protocol=replknet needs 2 spatial axes, this map has {score.ndim}; use protocol=erfscope.",
        )
    found: dict[str, float | None] = dict.fromkeys(shares)
    (h, w), total = score.shape, np.sum(score)
    if total == 0:
        return found
    for i in range(1, min(h // 2, (w + 1) // 2)):
        # the order of the products and quotients below is the script's: another one gives other last digits
        square = score[h // 2 - i : h // 2 + 1 + i, w // 2 - i : w // 2 + 1 + i]
        inside = np.sum(square) / total
        for share in shares:
            if found[share] is None and inside > float(share):
                found[share] = (i * 2 + 1) / h * (i * 2 + 1) / w
        if None not in found.values():
            break
    return found


def smooth_ratio(raw: npt.ArrayLike, shares: Sequence[str] = SHARES) -> dict[str, float | None]:
    """The same r with sides between the script's, where the share lies between theirs: what its error is taken of.

    The script's squares grow by two pixels, so that r often stays the same without some of the samples.
    """
    score = score_map(raw)
    (h, w), total = score.shape, float(np.sum(score))
    reach = min(h // 2, (w + 1) // 2)
    if total == 0 or reach < 2:
        return dict.fromkeys(shares)
    squares = [score[h // 2 - i : h // 2 + 1 + i, w // 2 - i : w // 2 + 1 + i] for i in range(reach)]
    inside = [float(np.sum(square)) / total for square in squares]
    sides = np.arange(reach) * 2.0 + 1
    return {
        share: float(np.interp(float(share), inside, sides)) ** 2 / (h * w) if inside[-1] > float(share) else None
        for share in shares
    }
