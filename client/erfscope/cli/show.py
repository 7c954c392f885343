"""Results as tables on stdout."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from erfscope._result import Measured
from erfscope.report import content
from erfscope_contract.causal import listens_back
from erfscope_contract.gridding import is_gridded
from erfscope_contract.job import ListedJob
from erfscope_contract.lengths import Lengths, measured_in, pixels_of, rank_of, sides_in
from erfscope_contract.limits import GLOBAL, LIMITED, bounded, bounds_of, share_of
from erfscope_contract.meanings import is_shown, meaning_of
from erfscope_contract.numbers import digits, plain
from erfscope_contract.replknet import step_in
from erfscope_contract.result import Number, Trf
from erfscope_contract.text import for_terminal

WIDE = 160  # columns where stdout is not a terminal: long layer names must survive a pipe

GAPS = "with gaps that the ERF leaves out"

HEADLINE = (  # the rows of `measure`, by flat name; `--all` shows every metric
    "trf_size",
    "trf_ratio",
    "erf_size",
    "erf_ratio",
    "erf_size_1sigma",
    *(f"replknet_{share}" for share in (20, 30, 50, 99)),
    "mass_50_side",
    "mass_99_side",
    "sigma_1",
    "sigma_2",
    "sigma_3",
    "r2",
    "r50",
    "r90",
    "anisotropy",
    "border_mass",
    "lattice",
    "mass_before",
    "verify_difference",
)


def console() -> Console:
    """stdout, wide enough where nobody's terminal limits it."""
    out = Console()
    return out if out.is_terminal else Console(width=WIDE)


def cell(text: str) -> Text:
    """Text of strangers as a cell: no markup, no escape sequence."""
    return Text(for_terminal(text))


def is_headline(result: Measured, name: str) -> bool:
    """Whether a table of the most important metrics has this one."""
    return name in HEADLINE or (name == "trf_size_local" and result.data.trf.local_box is not None)


def result_table(result: Measured, *, everything: bool = False, lengths: Lengths | None = None) -> Table:
    """Metric, value with unit (lengths in that of `lengths`, by default the input's own), standard error."""
    lengths = lengths or pixels_of(rank_of(result.data))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (
        ("metric", "left"),
        ("value", "right"),
        ("unit", "left"),
        ("± std. error", "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal out of the line above
    for name, value in result.metrics.items():
        if (everything or is_headline(result, name)) and is_shown(name, result.metrics):
            label = name if everything else meaning_of(name).label
            number, unit = measured_in(name, value, lengths)
            table.add_row(label, *_cells(result, name, number, unit, lengths))
    return table


def _cells(result: Measured, name: str, number: Number, unit: str, lengths: Lengths) -> tuple[str, str, str]:
    """Value, unit and error: four digits of each, but no more than a grid of the numbers is worth."""
    error, _ = measured_in(name, result.stderr.get(name), lengths)
    if step_in(result.data, name):
        value, _, error_text = bounded(result.data, name, number, error).partition(" ± ")
        return value, unit, error_text
    text = bounded(result.data, name, number)
    is_number = text not in (LIMITED, GLOBAL) and name not in bounds_of(result.data)
    return text, unit, plain(error, missing="") if is_number else ""


def summary(result: Measured, name: str, lengths: Lengths | None = None) -> str:
    """One line that says it all."""
    data, metrics = result.data, result.metrics
    lengths = lengths or pixels_of(rank_of(data))
    size, unit = measured_in("erf_size", metrics.get("erf_size"), lengths)
    half, _ = measured_in("mass_50_side", metrics.get("mass_50_side"), lengths)
    back = listens_back(data, lengths)
    parts = [f"ERF {plain(size)} {unit} of {_field(data.trf, lengths)}{share_of(data)}"]
    if back is not None:
        gaps = f", {GAPS}" if is_gridded(data.shape, data.gaussian) else ""
        parts.append(f"listens back: {back}{gaps}")
    elif half is not None:
        parts.append(f"half of the mass within {plain(half)} {unit}{_gaps(result, lengths)}")
    parts.append(f"{data.samples.used} samples" + (f", {data.samples.dead} dead" if data.samples.dead else ""))
    where = f"{name}, layer {data.layer.name}, unit [{', '.join(map(str, data.unit))}]"
    return f"{where}: {'; '.join(parts)}."


def _gaps(result: Measured, lengths: Lengths) -> str:
    """How far a map with gaps reaches, which its ERF leaves out; empty for others."""
    if not is_gridded(result.data.shape, result.data.gaussian):
        return ""
    most, unit = measured_in("mass_99_side", result.metrics.get("mass_99_side"), lengths)
    return f", 99 % within {plain(most)} {unit}, {GAPS}"


def _field(trf: Trf, lengths: Lengths) -> str:
    """`TRF 53x53 px`; of a field that is global, its size without statistics; of a one-sided one, that it is causal."""
    words = f"TRF {by(sides_in(trf.size, lengths))} {lengths.unit}"
    if trf.local_box is not None:
        local = by(sides_in([stop - start for start, stop in trf.local_box], lengths))
        words = f"a global TRF ({local} {lengths.unit} without statistics)"
    elif trf.is_global:
        words = "a global TRF"
    return f"causal {words}" if trf.causal else words


def job_table(jobs: Sequence[ListedJob]) -> Table:
    """A row for each job."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "kind", "status", "progress", "model", "created"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        created = job.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        status = f"{job.status} (cached)" if job.cached else str(job.status)
        progress = f"{job.progress:.0%}"
        table.add_row(job.id, job.kind, status, progress, cell(job.model.name), created)
    return table


def parts_of(result: Measured) -> list[Table]:
    """The profile along depth and the units of a grid, where they were asked for."""
    return [_drawn(table) for table in (*content.profile(result.data.layers), *content.grid(result.data.units))]


def _drawn(said: content.Table) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=said.title, title_justify="left")
    for column, head in enumerate(said.heads):
        table.add_column(cell(head), justify="right" if 0 < column < said.left else "left", overflow="fold")
    for row in said.rows:
        table.add_row(*map(cell, row))
    return table


def by(sizes: Sequence[float | None], sign: str = "x") -> str:
    """`427x427`."""
    return sign.join("?" if size is None else digits(size) for size in sizes)


LARGEST = (
    "TRF A…B: A is the centre unit's, of which the ERF is; B is the largest over phases, for behind upsampling or a "
    "strided decoder units at other phases read more."
)


def field_of(
    size: Sequence[float],
    is_global: bool,
    local: Sequence[tuple[float, float]] | None,
    sign: str = "x",
    largest: Sequence[float] = (),
) -> str:
    """A TRF in a cell: its sides; also the largest over phases, and those without statistics of a global one."""
    if not is_global:
        return f"{by(size, sign)}…{by(largest, sign)}" if largest else by(size, sign)
    return "global" if local is None else f"global ({by([stop - start for start, stop in local], sign)})"


def print_lines(out: Console, lines: Sequence[str]) -> None:
    """Sentences as they are: no markup, no wrapping (a path must stay one piece)."""
    for line in lines:
        out.print(for_terminal(line), highlight=False, markup=False, soft_wrap=True)
