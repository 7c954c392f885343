"""`erfscope jobs`: the jobs of a service, whatever their kind."""

import json
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from erfscope import _calls
from erfscope._client import Client, settings
from erfscope._errors import refuse
from erfscope._files import trouble
from erfscope._polling import until_ended
from erfscope._result import FORMS
from erfscope._transport import Transport
from erfscope.cli import options, show, values
from erfscope_contract.job import JobKind, ListedJob, Status


class ListByDefault(TyperGroup):
    """`erfscope jobs` without a command, or with options alone, is `erfscope jobs list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; raises typer.BadParameter."""
        lists = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if lists else args)


jobs = typer.Typer(
    name="jobs",
    cls=ListByDefault,
    help="List the jobs of a service (the default), and look at, wait for, cancel or save one of them.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The job's id, as `erfscope jobs list` shows it.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of jobs, as `erfscope jobs list` shows them.")]
Service = Annotated[
    str | None,
    typer.Option("--url", envvar="ERFSCOPE_URL", help="The service's address (default: http://127.0.0.1:8000)."),
]
FAILED = 3  # exit code where a job that was waited for has no result


@jobs.command("list")
def listing(
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="Number of jobs to list.")] = 20,
    kind: Annotated[JobKind | None, typer.Option(help="List only jobs of this kind (default: all kinds).")] = None,
    status: Annotated[Status | None, typer.Option(help="List only jobs in this state (default: all states).")] = None,
    as_json: options.AsJson = False,
    url: Service = None,
    api_key: options.ApiKey = None,
) -> None:
    """List jobs, newest first."""
    with Client(url, api_key=api_key) as client:
        listed = list(islice(client.list_jobs(kind, status), limit))
    if as_json:
        print("[" + ",\n".join(job.model_dump_json() for job in listed) + "]")
        return
    show.console().print(show.job_table(listed) if listed else "no jobs")


@jobs.command("show")
def look(id: Id, url: Service = None, api_key: options.ApiKey = None) -> None:
    """Print a job with its request and its result, as JSON."""
    with closing(_transport(url, api_key)) as transport:
        print(json.dumps(_whole(transport, id), indent=2))


@jobs.command()
def wait(
    id: Id,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait (default: until the job has ended).")
    ] = None,
    url: Service = None,
    api_key: options.ApiKey = None,
) -> None:
    """Wait until a job has ended. Exit code 3 if it did not succeed, or has not ended in time."""
    with closing(_transport(url, api_key)) as transport:
        look_at = transport.drive(until_ended(transport.settings, lambda seconds: _calls.any_job(id, seconds), timeout))
    show.console().print(show.job_table([look_at]))
    if look_at.status is not Status.SUCCEEDED:
        if look_at.error is not None:
            show.print_lines(show.console(), ["", f"{look_at.error.title}: {look_at.error.detail}"])
        raise typer.Exit(FAILED)


@jobs.command()
def cancel(ids: Ids, url: Service = None, api_key: options.ApiKey = None) -> None:
    """Cancel jobs; one that has ended stays as it is."""
    with closing(_transport(url, api_key)) as transport:
        canceled = [transport.call(_calls.cancel_any(id)) for id in ids]
    show.console().print(show.job_table(canceled))


@jobs.command()
def save(
    id: Id,
    output: Annotated[
        list[Path],
        typer.Option(
            "-o",
            "--output",
            help=f"File to write: of a measurement {', '.join(FORMS)}, of every other job .json; may be given several "
            "times.",
        ),
    ],
    url: Service = None,
    api_key: options.ApiKey = None,
) -> None:
    """Save the result of a job that has succeeded."""
    with Client(url, api_key=api_key) as client, closing(_transport(url, api_key)) as transport:
        job = transport.call(_calls.any_job(id))
        forms = FORMS if job.kind is JobKind.ERF else (".json",)
        for path in output:
            values.check_output(path, forms)
        if job.kind is JobKind.ERF:
            result = client.job(id).result(timeout=0)
            for path in output:
                result.save(path)
        else:
            _save_json(transport, job, output)
    show.print_lines(show.console(), [f"wrote {path}" for path in output])


def _save_json(transport: Transport, job: ListedJob, output: list[Path]) -> None:
    body = json.loads(transport.call(_calls.whole(job)))
    result = body.get("inspection") if job.kind is JobKind.INSPECT else body.get("result")
    if result is None:
        raise refuse("conflict", f"job {job.id} is {job.status}, it has no result; `erfscope jobs wait {job.id}`")
    for path in output:
        try:
            path.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
        except OSError as error:
            raise refuse("bad-request", f"-o {path}: {trouble(error)}") from None


def _whole(transport: Transport, id: str) -> Any:
    """The job where its own kind has it."""
    return json.loads(transport.call(_calls.whole(transport.call(_calls.any_job(id)))))


def _transport(url: str | None, api_key: str | None) -> Transport:
    return Transport(settings(url, api_key))
