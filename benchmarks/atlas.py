"""The atlas: TRF, ERF and cost of the networks of torchvision and timm, a line of JSON for each.

Usage: python -m benchmarks.atlas FILE [--only NAME] [--count N] [--most G] [--limit SECONDS] [--again] [--pages]

Inputs are 224×224 noise, weights random (seed 0), and parameters that close a branch before training are re-drawn
(`benchmarks.timm_networks.opened`). Each network runs in its own process, with a limit on time and memory. Its row is
written to FILE at once. A new run with the same FILE skips networks that are already in it. A row without a
measurement says why. On a busy machine, give more time with --limit; --again measures such rows again. --pages writes
docs/atlas.md, docs/atlas.csv and the charts from FILE.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from benchmarks import atlas_page
from benchmarks.atlas_networks import Entry, entries, versions
from benchmarks.atlas_row import MEMORY, measured
from benchmarks.children import in_child

LIMIT = 120.0  # seconds of one network
MOST_MACS = 16.0  # G multiply-adds of a network that is measured


def run(file: Path, chosen: Iterable[Entry], most_macs: int, limit: float = LIMIT, *, again: bool = False) -> None:
    """Measure what FILE does not hold, `again` what it holds without an answer, and add it line by line."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    known = {(row["source"], row["network"]) for row in map(json.loads, lines) if not (again and "refused" in row)}
    for entry in chosen:
        if (entry.source, entry.network) in known:
            continue
        ending = in_child(measured, asdict(entry), most_macs, limit=limit, memory=MEMORY)
        row = ending.value if not ending.failure else {"refused": f"{ending.failure}: {ending.words}"}
        row = asdict(entry) | row | {"seconds": ending.seconds, "versions": versions()}
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        print(
            f"{entry.network:32} {ending.seconds:6.1f} s  {row.get('refused', 'measured')}", file=sys.stderr, flush=True
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="one JSON line a network")
    parser.add_argument("--only", default="", metavar="NAME", help="networks whose name contains this (default: all)")
    parser.add_argument("--count", type=int, metavar="N", help="the first N of those (default: all)")
    parser.add_argument(
        "--most",
        type=float,
        default=MOST_MACS,
        metavar="G",
        help="billions of multiply-adds of a network (default: 16)",
    )
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for a network (default: 120)")
    parser.add_argument("--again", action="store_true", help="measure again what FILE holds without an answer")
    parser.add_argument("--pages", action="store_true", help="measure nothing; write the pages in docs/ from FILE")
    options = parser.parse_args()
    if options.pages:
        lines = options.file.read_text("utf-8").splitlines()
        return atlas_page.write([json.loads(line) for line in lines], Path("docs"))
    chosen = (entry for entry in entries() if options.only in entry.network)
    run(options.file, islice(chosen, options.count), int(options.most * 1e9), options.limit, again=options.again)


if __name__ == "__main__":
    main()
