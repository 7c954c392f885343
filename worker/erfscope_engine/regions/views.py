"""How a region passes a view: match the two shapes block by block, keep what stays apart.

Shapes are cut into the smallest blocks of axes with equal products; inside a block the region goes through the
row-major flat index, digit by digit, so that H → (H/7, 7) and (H, W) → H·W keep what they can.
"""

from math import prod

from erfscope_engine.regions.interval import Interval, Region

Block = tuple[slice, slice]


def regroup(region: Region, shape: tuple[int, ...], into: tuple[int, ...]) -> Region:
    """`region` of a tensor of `shape`, seen in the same elements laid out as `into`."""
    back: list[Interval] = []
    for old, new in blocks(shape, into):
        back += _block(region[old], shape[old], into[new])
    return tuple(back)


def blocks(a: tuple[int, ...], b: tuple[int, ...]) -> list[Block]:
    """Pairs of slices of `a` and `b` with equal products, as small as possible; they cover both."""
    found: list[Block] = []
    i = j = 0
    while i < len(a) or j < len(b):
        i0, j0 = i, j
        if i < len(a) and j < len(b) and a[i] == b[j]:
            i, j = i + 1, j + 1
        elif i < len(a) and a[i] == 1:
            i += 1
        elif j < len(b) and b[j] == 1:
            j += 1
        else:
            i, j = _grow(a, b, i, j)
        found.append((slice(i0, i), slice(j0, j)))
    return found


def _grow(a: tuple[int, ...], b: tuple[int, ...], i: int, j: int) -> tuple[int, int]:
    left, right = a[i], b[j]
    i, j = i + 1, j + 1
    while left != right:
        if left < right:
            left, i = left * a[i], i + 1
        else:
            right, j = right * b[j], j + 1
    return i, j


def _block(region: Region, shape: tuple[int, ...], into: tuple[int, ...]) -> list[Interval]:
    if len(shape) == len(into) == 1:
        return [region[0]]
    flat = region[0].clip(shape[0]) if len(shape) == 1 else _merge(region, shape)
    return [flat] if len(into) == 1 else _split(flat, into)


def _merge(region: Region, shape: tuple[int, ...]) -> Interval:
    """Hull of a box in the row-major flat index, with the box itself as `parts`."""
    inside = [i.clip(n) for i, n in zip(region, shape, strict=True)]
    parts = tuple((n, i) for i, n in zip(inside, shape, strict=True) if n > 1)
    if len(parts) == 1:
        return parts[0][1]
    pitches = [prod(shape[k + 1 :]) for k in range(len(shape))]
    lo = sum(i.lo * pitch for i, pitch in zip(inside, pitches, strict=True))
    hi = sum((i.hi - 1) * pitch for i, pitch in zip(inside, pitches, strict=True)) + 1
    wide = any(i.wide for i in inside) and hi - lo == prod(shape)
    return Interval(lo, hi, wide, parts)


def _split(flat: Interval, into: tuple[int, ...]) -> list[Interval]:
    """The digits of a flat interval: its parts where they fit `into`, the hull of its run otherwise."""
    dealt = _deal(flat.parts, into) if flat.parts else None
    return dealt if dealt is not None else _digits(flat, into)


def _deal(parts: tuple[tuple[int, Interval], ...], into: tuple[int, ...]) -> list[Interval] | None:
    rest = list(parts)
    dealt: list[Interval] = []
    for extent in into:
        taken: list[tuple[int, Interval]] = []
        while prod(n for n, _ in taken) < extent and rest:
            taken.append(rest.pop(0))
        if prod(n for n, _ in taken) != extent:
            return None
        dealt.append(_merge(tuple(i for _, i in taken), tuple(n for n, _ in taken)) if taken else Interval(0, 1))
    return dealt


def _digits(flat: Interval, into: tuple[int, ...]) -> list[Interval]:
    """Exact while the interval stays within one run of a digit, the whole extent below the digit where it spans."""
    digits: list[Interval] = []
    lo, hi, spans = flat.lo, flat.hi - 1, flat.wide
    for k, extent in enumerate(into):
        pitch = prod(into[k + 1 :])
        if spans:
            digits.append(Interval(0, extent, flat.wide and extent > 1))
            continue
        first, last = lo // pitch, hi // pitch
        digits.append(Interval(first, last + 1))
        spans = first != last
        lo, hi = lo - first * pitch, hi - last * pitch
    return digits
