"""Whether a row of the matrix holds, and a run's summary."""

from collections.abc import Iterator, Mapping

from benchmarks.timm_routes import ROUTES, Row

VERIFIED = 1e-5  # relative L2 difference of one gradient from plain autograd's
NEAR = 0.5  # pixels


def faults(row: Row, routes: Mapping[str, Row]) -> list[str]:
    """What is wrong with a row, in words; nothing where it holds, or where torch writes no file that could be measured.

    `routes` has the network's rows by route.
    """
    if row.not_exported:
        return []
    return [f"refused: {row.refused}"] if row.refused else [*_of_its_own(row), *_beside(row, routes.get(ROUTES[0]))]


def _of_its_own(row: Row) -> Iterator[str]:
    if row.verify is None:
        yield "the result has no verify"
    elif not row.verify < VERIFIED:
        yield f"verify is {row.verify:.1e}"
    if row.chain and _apart(row.center, row.chain) > NEAR:
        yield f"centre {_list(row.center)}, {_list(row.chain)} by the strided chain"
    if row.chain_trf and not row.is_global and row.trf != row.chain_trf:
        yield f"TRF {_list(row.trf)}, {_list(row.chain_trf)} by the strided chain"


def _beside(row: Row, first: Row | None) -> Iterator[str]:
    """Against the route in process."""
    if first is None or first is row or first.refused:
        return
    if row.trf != first.trf:
        yield f"TRF {_list(row.trf)}, {_list(first.trf)} in process"
    if row.unit != first.unit or _apart(row.center, first.center) > 0:
        ours, theirs = (f"{_list(one.center)} of unit {_list(one.unit)}" for one in (row, first))
        yield f"centre {ours}, {theirs} in process"


def _apart(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The largest distance along an axis, pixels; infinite where the axes are not the same."""
    if len(one) != len(other):
        return float("inf")
    return max((abs(a - b) for a, b in zip(one, other, strict=True)), default=0.0)


def _list(numbers: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{number:g}" for number in numbers) + ")"


def summary(rows: Mapping[str, Mapping[str, Row]]) -> str:
    """How many of what, in sentences, and every row that does not hold."""
    part = {family: known for family, known in rows.items() if any(row.network for row in known.values())}
    every = [(row, known) for known in part.values() for row in known.values() if not row.not_exported]
    wrong = [(row, why) for row, known in every if (why := faults(row, known))]
    worst = max((row.verify for row, _ in every if row.verify is not None), default=0.0)
    chained = sum(row.chain is not None for row, _ in every)
    lines = [
        f"{len(part)} networks on {len(every)} routes in {sum(row.seconds for row, _ in every):.0f} s: "
        f"{len(every) - len(wrong)} rows hold, {len(wrong)} do not.",
        f"Worst relative difference from plain autograd {worst:.1e}; the strided chain gave {chained} centres.",
    ]
    lines += [f"{row.network} ({row.route}): {'; '.join(why)}" for row, why in wrong]
    lines += [f"torch does not export {row.network} ({row.route}): {row.not_exported}" for known in part.values()
              for row in known.values() if row.not_exported]  # fmt: skip
    lines += [f"not part: {row.family}: {row.refused}" for known in rows.values() for row in known.values()
              if not row.network]  # fmt: skip
    return "\n".join(lines)
