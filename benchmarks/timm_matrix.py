"""A network of every family of timm on three routes: in process, and as a file of each of torch's exporters.

Usage: python -m benchmarks.timm_matrix [--json FILE] [--only NAME] [--count N] [--routes ROUTE ...]
       python -m benchmarks.timm_matrix --table FILE > docs/timm.md

A row holds when the route measures the network, `verify` is below 1e-5, its TRF and centre are those of the route in
process, the centre lies within 0.5 px of the strided chain, and a TRF that is not global is the chain's
(`benchmarks.strided_chain`). Each row has a process of
its own with a time limit, and is in FILE as soon as it is known; a run goes on where FILE ends. Exit code 1 when a row
does not hold.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import timm
import torch

from benchmarks.children import in_child
from benchmarks.timm_networks import families, member_of
from benchmarks.timm_page import page
from benchmarks.timm_routes import ROUTES, Row, measured
from benchmarks.timm_verdict import faults, summary

CHOICE_LIMIT = 600.0  # seconds, to build every architecture of a family without memory and a few in it


def chosen(family: str) -> dict[str, Any]:
    """The family's member as a row's fields; `refused` where none can be had. The function of a child process."""
    torch.set_num_threads(1)
    try:
        return asdict(member_of(family))
    except LookupError as error:
        return {"family": family, "network": "", "refused": str(error)}


def rows_of(family: str, routes: Sequence[str], known: Mapping[str, Row], options: argparse.Namespace) -> Iterator[Row]:
    """The rows of a family that are not known yet, one by one."""
    missing = [route for route in routes if route not in known]
    if not missing or any(not row.network for row in known.values()):
        return
    member = _member(family, known)
    for route in missing if member["network"] else [ROUTES[0]]:
        row = Row(route=route, versions=f"timm {timm.__version__}, torch {torch.__version__}", **member)
        if row.network:
            ending = in_child(measured, asdict(row), options.inputs, limit=options.limit)
            row = _filled(row, ending.value) if not ending.failure else _failed(row, ending.words, ending.seconds)
        yield row


def _member(family: str, known: Mapping[str, Row]) -> dict[str, Any]:
    for row in known.values():
        return {"family": family, "network": row.network, "shape": row.shape, "parameters": row.parameters}
    ending = in_child(chosen, family, limit=CHOICE_LIMIT)
    if ending.failure:
        return {"family": family, "network": "", "refused": f"its architectures do not build: {ending.words}"}
    member: dict[str, Any] = ending.value
    return member


def _filled(row: Row, values: Mapping[str, Any]) -> Row:
    return Row(**{**asdict(row), **values})


def _failed(row: Row, words: str, seconds: float) -> Row:
    row.refused, row.seconds = " ".join(words.split()), seconds
    return row


def read(file: Path | None) -> dict[str, dict[str, Row]]:
    """The rows of a file by family and route; a later line replaces an earlier one."""
    rows: dict[str, dict[str, Row]] = {}
    for line in file.read_text("utf-8").splitlines() if file and file.exists() else []:
        row = Row(**json.loads(line))
        rows.setdefault(row.family, {})[row.route] = row
    return rows


def run(options: argparse.Namespace) -> dict[str, dict[str, Row]]:
    """Every row that is asked for and missing, written and told as it comes; all of them returned."""
    rows = read(options.json)
    names = [name for name in families() if options.only in name]
    for family in names[: options.count]:
        known = rows.setdefault(family, {})
        if options.again:
            known = rows[family] = {route: row for route, row in known.items() if not faults(row, known)}
        for row in rows_of(family, options.routes, dict(known), options):
            known[row.route] = row
            _tell(row, known)
            if options.json:
                with options.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
    return {family: rows[family] for family in names[: options.count]}


def _tell(row: Row, known: Mapping[str, Row]) -> None:
    verdict = "; ".join(faults(row, known)) or ("holds" if not row.not_exported else "torch does not export it")
    verdict = verdict if row.network else f"not part: {row.refused}"
    print(
        f"{row.family:28} {row.network:34} {row.route:7} {row.seconds:6.1f} s  {verdict}", file=sys.stderr, flush=True
    )


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="one JSON line a row; rows in it are not measured again"
    )
    parser.add_argument("--again", action="store_true", help="measure rows again that do not hold")
    parser.add_argument("--only", default="", metavar="NAME", help="families whose name contains this (default: all)")
    parser.add_argument("--count", type=int, metavar="N", help="the first N of those families (default: all)")
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=list(ROUTES), help="default: all three")
    parser.add_argument("--inputs", type=int, default=8, help="samples of the ERF in process (default 8)")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for a row (default 900)")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the page of this file's rows instead")
    options = parser.parse_args()
    if options.table:
        print(page(read(options.table)), end="")
        return 0
    rows = run(options)
    print(summary(rows))
    return 1 if any(faults(row, known) for known in rows.values() for row in known.values() if row.network) else 0


if __name__ == "__main__":
    sys.exit(main())
