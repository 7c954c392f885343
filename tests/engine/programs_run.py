"""Many random programs, counted: `python -m tests.engine.programs_run --count 2000`.

Each line of a failure has the seed of its program: `--first SEED --count 1` runs it again. Programs of the suite are
drawn on a given number of axes: `--rank` with their seed.
"""

import argparse
import sys
import time
import traceback
import warnings
from collections import Counter

import torch
from tests.engine.checks import everything
from tests.engine.programs import program
from tests.engine.verdicts import CheckError, Tally


def one(seed: int, rank: int | None, verbose: bool) -> tuple[Tally, str | None]:
    """The program of a seed: its counts, and what is wrong with it."""
    drawn = program(seed, rank=rank)
    words = f"seed {seed}, {list(drawn.shape)}: {', '.join(drawn.names)}"
    if verbose:
        print(words, sorted(drawn.traits), flush=True)
    try:
        return everything(drawn), None
    except CheckError as wrong:
        print(f"{wrong.kind.upper()} {words} | {wrong}", flush=True)
        if verbose:
            traceback.print_exc()
        return Tally(), wrong.kind


def main(arguments: list[str] | None = None) -> int:
    """Run the programs of `count` seeds from `first` on, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many programs (default 2000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first program (default 0)")
    parser.add_argument("--rank", type=int, choices=(1, 2, 3), help="axes of space (default: drawn by the seed)")
    parser.add_argument("--verbose", action="store_true", help="name each program, and trace its failure")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start, failures, total = time.perf_counter(), Counter[str](), Tally()
    for seed in range(asked.first, asked.first + asked.count):
        tally, kind = one(seed, asked.rank, asked.verbose)
        failures[kind or "none"] += 1
        total.add(tally)
    seconds = time.perf_counter() - start
    print(f"{asked.count} programs in {seconds:.0f} s: {failures.pop('none', 0)} hold, failures {dict(failures)}")
    print(
        f"fields of units: {total.exact} exact, {total.wide} wide (holes, mixed axes), {total.canvases} compared on a "
        f"larger canvas; {total.dead} programs without a gradient"
    )
    return min(sum(failures.values()), 1)


if __name__ == "__main__":
    sys.exit(main())
