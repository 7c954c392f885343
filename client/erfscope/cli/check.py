"""`erfscope check`: the CI gate; a table on stdout, reports where asked, and an exit code."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from erfscope.cli import options, show
from erfscope.cli.failure import BAD_INPUT
from erfscope.cli.progress import progress_bar

if TYPE_CHECKING:  # the command line starts without the gate
    from erfscope.gate.findings import Report

Paths = Annotated[
    list[Path] | None,
    Argument(
        metavar="PATHS…", help="Only these models, or those in these folders (default: all of the configuration)."
    ),
]
Config = Annotated[
    Path | None,
    Option("--config", help="erfscope.toml or pyproject.toml (default: the nearest one, from this folder upward)."),
]
Update = Annotated[
    bool,
    Option(
        "--update-baseline",
        help="Write the measured values into the baseline that drift is judged against (default: off).",
    ),
]
JUnit = Annotated[Path | None, Option("--junit", help="File for a report as JUnit XML (default: none).")]
Markdown = Annotated[
    Path | None,
    Option(
        "--markdown", help="File for a report as Markdown; GITHUB_STEP_SUMMARY gets one in any case (default: none)."
    ),
]
GitLab = Annotated[
    Path | None, Option("--gitlab", help="File for a report in GitLab's code-quality JSON (default: none).")
]
ReportFile = Annotated[
    Path | None, Option("--report", help="File for what --json prints, beside the table (default: none).")
]
Pictures = Annotated[Path | None, Option("--pictures", help="Folder for the heat maps (default: none).")]
Base = Annotated[
    str | None,
    Option(
        "--base",
        metavar="REF",
        help="Branch or commit to compare with, to warn of rules that are looser here, and of a changed baseline "
        "(default: what the continuous integration of a pull request names; none elsewhere).",
    ),
]
NoCache = Annotated[
    bool,
    Option("--no-cache", help="Measure everything again, and store no answers (default: answers come from the cache)."),
]
Timeout = Annotated[
    float | None,
    Option("--timeout", min=0, help="Seconds to wait for a service's jobs, all together (default: no limit)."),
]


def check(
    paths: Paths = None,
    config: Config = None,
    update_baseline: Update = False,
    base: Base = None,
    url: options.Url = None,
    junit: JUnit = None,
    markdown: Markdown = None,
    gitlab: GitLab = None,
    report: ReportFile = None,
    as_json: options.AsJson = False,
    pictures: Pictures = None,
    no_cache: NoCache = False,
    timeout: Timeout = None,
) -> None:
    """Check receptive fields against erfscope.toml or pyproject.toml.

    Exit codes of this command: 0 all rules hold; 1 one does not, or no check finds a model of the baseline any more;
    2 the configuration is wrong, or names a file that is not there, or a model cannot be measured; 3 the service is
    away, or a job failed.
    """
    from erfscope.gate.answers import Means
    from erfscope.gate.cache import Cache, default_folder
    from erfscope.gate.reports.files import Wanted, write
    from erfscope.gate.run import Options, run

    cache = None if no_cache else Cache(default_folder(os.environ))
    means = Means(url, cache, timeout, with_pictures=pictures is not None)
    asked = Options(Path.cwd(), config, tuple(paths or ()), update_baseline, base, os.environ, means)
    with progress_bar("checking", lines=True) as update, _stopped_by_sigterm():
        found = run(asked, lambda model, stage, share: update(f"{model} {stage}", share))
    written = write(found, Wanted(junit, markdown, gitlab, report, pictures), os.environ)
    _tell(found, written.paths, as_json=as_json)
    for trouble in written.troubles:
        print(f"erfscope: a report could not be written. {trouble}", file=sys.stderr)
    sys.exit(found.exit_code or (BAD_INPUT if written.troubles else 0))


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM (a CI's time limit) ends the measuring, not the command: reports say what was measured until then."""
    from erfscope.gate.answers import Stopped

    def stop(number: int, frame: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except Stopped:  # before there was anything to report
        sys.exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(found: "Report", written: Sequence[Path], *, as_json: bool) -> None:
    """On stdout: JSON and nothing else, or the table, the files, and annotations where GitHub runs this."""
    from erfscope.gate.reports import terminal
    from erfscope.gate.reports.files import as_json as json_of
    from erfscope.gate.reports.forges import github

    if as_json:
        print(json_of(found))
        return
    out = show.console()
    out.print(terminal.render(found))
    show.print_lines(out, [f"wrote {path}" for path in written])
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print("\n".join(github(found, os.environ)))
