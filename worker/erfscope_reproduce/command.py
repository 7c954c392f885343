"""`erfscope reproduce`: the article's figures and claims, measured again here."""

import shlex
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import typer
from rich.text import Text
from typer import Argument, Option

from erfscope._errors import refuse
from erfscope._files import trouble
from erfscope.cli import show
from erfscope.cli.failure import BAD_INPUT
from erfscope.cli.progress import progress_bar
from erfscope_reproduce.bench import Bench
from erfscope_reproduce.data import Folders
from erfscope_reproduce.earlier import Earlier
from erfscope_reproduce.finding import Verdict
from erfscope_reproduce.report import Place, write
from erfscope_reproduce.run import Outcome, run
from erfscope_reproduce.table import ALL, CLAIMS, TRAINING, choose

STYLES = {
    Verdict.CONFIRMED: "green",
    Verdict.REFUTED: "yellow",
    Verdict.UNDECIDED: "dim",
    Verdict.MEASURED: "dim",
    Verdict.CRASHED: "red",
}
CRASHED = 3  # exit code where a row has no answer


def reproduce(
    what: Annotated[
        list[str] | None,
        Argument(
            metavar="[WHAT]...",
            help="What to measure: all, a claim (S10), figure-3, training or segmentation (default: list them).",
        ),
    ] = None,
    quick: Annotated[
        bool, Option("--quick", help="Fewer repeats: minutes instead of an hour or more (default: off).")
    ] = False,
    output: Annotated[
        Path, Option("-o", "--output", metavar="DIR", help="Folder of the report, or its .md file.")
    ] = Path("erfscope-report"),
    data: Annotated[
        list[Path] | None,
        Option(
            metavar="DIR",
            help="Folder of CIFAR-10 (binary version, for S11) or CamVid (for S12); may be given once for each "
            "(default: data that is made or bundled here).",
        ),
    ] = None,
    keep: Annotated[
        bool,
        Option("--keep", help="Keep older results in the report of -o for claims not measured now (default: off)."),
    ] = False,
    resume: Annotated[
        Path | None,
        Option(
            metavar="DIR",
            help="Folder of trainings: finished ones are read, a stopped one goes on where its last epoch ended "
            "(default: none, nothing is kept).",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        Option(min=1, metavar="N", help="Epochs of a training on --data (default: 24 on CIFAR-10, 40 on CamVid)."),
    ] = None,
    seeds: Annotated[
        int | None,
        Option(min=1, metavar="N", help="Networks that training trains (default: 1 on --data, 3 otherwise)."),
    ] = None,
    listed: Annotated[bool, Option("--list", help="List the claims, and measure nothing (default: off).")] = False,
) -> None:
    """Measure what Luo et al. 2016 published, and write the numbers beside theirs.

    Exit code 3 where a claim could not be measured; a claim that is not confirmed is an answer.
    """
    out = show.console()
    if listed:
        show.print_lines(out, [f"{claim.id:4} {claim.title}{_figure(claim.figure)}" for claim in CLAIMS])
        return
    if not what:
        show.print_lines(out, _usage())
        raise typer.Exit(BAD_INPUT)
    claims = choose(what)
    folders = Folders.of(data or (), [claim.id for claim in claims])
    place = Place.of(output)
    earlier = Earlier.at(place, quick=quick) if keep else None
    _make_room(place)
    if len(claims) == len(CLAIMS):
        show.print_lines(out, [f"{len(claims)} claims: {'some minutes' if quick else 'an hour or more'}"])
    with progress_bar("reproducing") as hear:
        bench = Bench(quick, folders, resume, epochs, seeds)
        outcomes = run(claims, bench, hear=hear, tell=_tell)
    if earlier:
        write(earlier.with_fresh(outcomes), place, earlier.command(_command()), quick=quick)
    else:
        write(outcomes, place, _command(), quick=quick)
    show.print_lines(out, ["", f"wrote {place.report} and {place.json}"])
    if any(outcome.crashed for outcome in outcomes):
        raise typer.Exit(CRASHED)


def _usage() -> list[str]:
    """What may be named, and how long it takes."""
    figures = sorted({claim.figure for claim in CLAIMS} - {""})
    return [
        "Name what to reproduce:",
        f"  {ALL:20} every claim: an hour or more, for some train networks; with --quick, minutes",
        f"  {f'{CLAIMS[0].id} … {CLAIMS[-1].id}':20} single claims (erfscope reproduce --list says which)",
        f"  {', '.join((*figures, *TRAINING))}",
    ]


def _make_room(place: Place) -> None:
    """Before an hour of work: whether the report can be written."""
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=place.folder), TemporaryFile(dir=place.report.parent):
            pass
    except OSError as error:
        raise refuse("bad-request", f"-o: {trouble(error)}") from None
    if place.report.is_dir():
        raise refuse(
            "bad-request",
            f"-o: the report is to be the file {place.report}, but that is a folder; remove it or give another place",
        )


def _figure(figure: str) -> str:
    return f" ({figure})" if figure else ""


def _command() -> str:
    """As it was typed, without the folder of the program."""
    return shlex.join(["erfscope", *sys.argv[1:]])


def _tell(outcome: Outcome) -> None:
    """The rows of one claim, when they are there."""
    out = show.console()
    out.print(Text(f"{outcome.claim.id} {outcome.claim.title}  ({outcome.seconds:.1f} s)", style="bold"))
    for row in outcome.finding.rows:
        line = Text(f"  {row.verdict.value:13} ", style=STYLES[row.verdict])
        line.append(f"{row.answer}  ", style="default")
        line.append(row.claim if row.verdict is not Verdict.CRASHED else row.note, style="default")
        out.print(line, soft_wrap=True, highlight=False)
