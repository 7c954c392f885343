"""Every ONNX file below a folder through the real intake and engine: verdict, errors, TRF, seconds; with totals.

Usage: python -m benchmarks.onnx_matrix DIR [--json [FILE]] [--timeout SECONDS]

forward: relative L2 error of the worst output against onnxruntime (float32). gradient: relative L2 error of the
map against autograd through the whole network (float64, one sample). centre: of the measured unit, pixels, beside the
strided chain's (`benchmarks.strided_chain`; – where its rules do not reach). Each file has a process of its own.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.children import in_child
from benchmarks.onnx_examine import Outcome, examine

HEAD = ("file", "verdict", "input", "layer", "TRF", "centre", "by the chain", "forward", "gradient", "s", "remark")
LONGEST_REMARK = 160


def examined(path: Path, name: str, limit: float) -> Outcome:
    """The outcome of one file, whatever happens."""
    ending = in_child(examine, path, limit=limit)
    if ending.failure:
        return Outcome(name, ending.failure, ending.words, seconds=ending.seconds)
    outcome = Outcome(**ending.value)
    outcome.file = name
    return outcome


def row(one: Outcome) -> tuple[str, ...]:
    """One line of the table."""
    layer = f"{one.layer} [{by(one.layer_shape)}] {one.operator}" if one.layer else ""
    trf = by(one.trf) + (" global" if one.is_global else "")
    remark = one.detail or ("" if one.forward is not None else one.reference)
    return (
        one.file, one.verdict, by(one.input_shape), layer, trf, _at(one.center), _at(one.chain), _error(one.forward),
        _error(one.gradient), f"{one.seconds:.1f}", remark[:LONGEST_REMARK].replace("|", "/"),
    )  # fmt: skip


def by(extents: Sequence[int]) -> str:
    """`3×224×224`."""
    return "×".join(map(str, extents))


def _at(place: Sequence[float] | None) -> str:
    return "–" if place is None else ", ".join(f"{number:g}" for number in place)


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.0e}"


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a Markdown table, totals below."""
    lines = [HEAD, tuple("---" for _ in HEAD), *map(row, outcomes)]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", totals(outcomes)])


def totals(outcomes: Sequence[Outcome]) -> str:
    """How many of what, in sentences."""
    verdicts = Counter(one.verdict for one in outcomes)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    measured = [one for one in outcomes if one.verdict == "measured"]
    compared = [one for one in measured if one.forward is not None]
    worst = max((one.forward or 0.0 for one in compared), default=0.0)
    steepest = max((one.gradient or 0.0 for one in measured), default=0.0)
    apart = [max(abs(a - b) for a, b in zip(one.center, one.chain, strict=True)) for one in measured if one.chain]
    return (
        f"{len(outcomes)} files in {sum(one.seconds for one in outcomes):.0f} s: {counted}.\n"
        f"{sum(one.good for one in outcomes)} of {len(measured)} measured are right; onnxruntime could judge "
        f"{len(compared)}, worst forward error {worst:.1e}; worst gradient error {steepest:.1e}; the chain gave "
        f"{len(apart)} centres, the furthest {max(apart, default=0):g} px from ours."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", nargs="?", const="-", help="write JSON to FILE, or instead of the table")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds per file")
    given = parser.parse_args()
    outcomes = []
    for path in sorted(given.folder.rglob("*.onnx")):
        outcomes.append(examined(path, str(path.relative_to(given.folder)), given.timeout))
        print(f"{len(outcomes):3} {outcomes[-1].verdict:16} {outcomes[-1].file}", file=sys.stderr)
    report(outcomes, given.json)


def report(outcomes: Sequence[Outcome], json_file: str | None) -> None:
    """The table on stdout, and JSON in a file or (for "-") in the table's place."""
    text = json.dumps([asdict(one) | {"good": one.good} for one in outcomes], indent=1)
    if json_file not in (None, "-"):
        Path(str(json_file)).write_text(text + "\n")
    print(text if json_file == "-" else table(outcomes))


if __name__ == "__main__":
    main()
