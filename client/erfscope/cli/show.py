"""Results as tables on stdout."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from erfscope._result import Measured
from erfscope.contract.job import Job
from erfscope.contract.meanings import unit_of
from erfscope.numbers import plain
from erfscope.report import content

WIDE = 160  # columns where stdout is not a terminal: long layer names must survive a pipe

# The rows of `measure`, by flat name: what it is called here, and its unit. `--all` shows every metric.
HEADLINE: Mapping[str, tuple[str, str]] = {
    "trf_size": ("TRF size", "px"),
    "trf_ratio": ("TRF / input", ""),
    "erf_size": ("ERF size (4.55 % of the centre)", "px"),
    "erf_ratio": ("ERF / TRF", ""),
    "erf_size_1sigma": ("ERF size, 1 sigma (31.7 % of the centre)", "px"),
    "mass_50_side": ("side of the box with 50 % of the mass", "px"),
    "mass_99_side": ("side of the box with 99 % of the mass", "px"),
    "sigma_1": ("sigma, first principal axis", "px"),
    "sigma_2": ("sigma, second principal axis", "px"),
    "sigma_3": ("sigma, third principal axis", "px"),
    "r2": ("R² of a Gaussian fit", ""),
    "r50": ("radius of 50 % of the mass", "px"),
    "r90": ("radius of 90 % of the mass", "px"),
    "anisotropy": ("anisotropy sigma_1 / sigma_2", ""),
    "border_mass": ("mass a Gaussian would lose at the border", ""),
    "lattice": ("gridding (spectral energy at the stride)", ""),
}


def console() -> Console:
    """stdout, wide enough where nobody's terminal limits it."""
    out = Console()
    return out if out.is_terminal else Console(width=WIDE)


def result_table(result: Measured, *, everything: bool = False) -> Table:
    """Metric, value with unit, standard error."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (
        ("metric", "left"),
        ("value", "right"),
        ("unit", "left"),
        ("± std. error", "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal out of the line above
    for name, value in result.metrics.items():
        if everything or name in HEADLINE:
            label, unit = (name, unit_of(name)) if everything else HEADLINE[name]
            table.add_row(label, plain(value), unit, plain(result.stderr.get(name), missing=""))
    return table


def summary(result: Measured, name: str) -> str:
    """One line that says it all."""
    data, metrics = result.data, result.metrics
    parts = [f"ERF {plain(metrics.get('erf_size'))} px of TRF {by(data.trf.size)} px"]
    if metrics.get("erf_ratio") is not None:
        parts[0] += f" ({100 * (metrics['erf_ratio'] or 0):.3g} %)"
    if metrics.get("mass_50_side") is not None:
        parts.append(f"half of the mass within {plain(metrics['mass_50_side'])} px")
    parts.append(f"{data.samples.used} samples" + (f", {data.samples.dead} dead" if data.samples.dead else ""))
    where = f"{name}, layer {data.layer.name}, unit [{', '.join(map(str, data.unit))}]"
    return f"{where}: {'; '.join(parts)}."


def job_table(jobs: Sequence[Job]) -> Table:
    """Jobs, newest first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "status", "progress", "model", "layer", "created"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        created = job.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        status = f"{job.status} (cached)" if job.cached else str(job.status)
        progress = f"{job.progress:.0%}"
        table.add_row(job.id, status, progress, Text(job.model.name), Text(job.request.target.layer), created)
    return table


def parts_of(result: Measured) -> list[Table]:
    """The profile along depth and the units of a grid, where they were asked for."""
    return [_drawn(table) for table in (*content.profile(result.data.layers), *content.grid(result.data.units))]


def _drawn(said: content.Table) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=said.title, title_justify="left")
    for column, head in enumerate(said.heads):
        table.add_column(Text(head), justify="right" if 0 < column < said.left else "left", overflow="fold")
    for row in said.rows:
        table.add_row(*map(Text, row))
    return table


def by(sizes: Sequence[float | None]) -> str:
    """`427x427`."""
    return "x".join("?" if size is None else f"{size:g}" for size in sizes)


def print_lines(out: Console, lines: Sequence[str]) -> None:
    """Sentences as they are: no markup, no wrapping (a path must stay one piece)."""
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)
