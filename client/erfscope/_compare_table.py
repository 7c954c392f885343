"""A comparison as a table for a paper, a README or a spreadsheet: a row for each result, a column for each metric."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from erfscope._errors import refuse
from erfscope_contract.limits import BOUNDS, GLOBAL, LIMITED, marked
from erfscope_contract.meanings import meaning_of, near_names
from erfscope_contract.numbers import MISSING, SAME, bound_with_error, with_error
from erfscope_contract.result import Number, Provenance
from erfscope_contract.text import for_cell, for_csv, for_latex, for_markdown, one_line

SHARES = (20, 30, 50, 99)
SIZES = ("trf_size", "erf_size", "erf_ratio")
LOCAL = "trf_size_local"
OWN_AREAS = tuple(f"mass_{share}_ratio" for share in SHARES)
SCRIPTS_AREAS = tuple(f"replknet_{share}" for share in SHARES)
_BRIEF: Mapping[str, str] = {
    "trf_size": "TRF",
    "trf_size_local": "TRF without statistics",
    "erf_size": "ERF",
    "erf_ratio": "ERF/TRF",
    "erf_size_1sigma": "ERF 1σ",
    "sigma_1": "σ₁",
    "sigma_2": "σ₂",
    "r2": "R²",
    **{f"mass_{share}_side": f"side {share} %" for share in SHARES},
    **{f"mass_{share}_ratio": f"area {share} %" for share in SHARES},
    **{f"replknet_{share}": f"r {share} %" for share in SHARES},
}
MARKS: Mapping[str, str] = {
    "±": "± is one standard error over the inputs and, if there are several, over draws of the weights.",
    **{mark: f"{mark}: {words}." for mark, words in BOUNDS.items()},
    GLOBAL: f"{GLOBAL.capitalize()}: the TRF is the whole input at every input size, so no ratio to the TRF is given.",
    LIMITED: f"{LIMITED.capitalize()}: the field ends where the input ends.",
    MISSING: f"{MISSING}: no value, because the metric is undefined for this map.",
}
SAME_WORDS = f"{SAME}: the number is the same in all parts of the samples."
NO_ERROR = "No ±: the number is exact, or one sample has no standard error."
SCRIPTS_GRID = (
    "r is the area of RepLKNet's script. It lies on a grid: the script's squares grow by 2 px a side, so one step is "
    "{steps}. ± of r is the error with sides between the script's."
)
NEEDS_SCRIPT = "r has a value only where it was measured with protocol replknet or both."
PROTOCOLS: Mapping[str, str] = {
    "erfscope": "Luo et al. 2016",
    "replknet": "RepLKNet's script",
    "both": "Luo et al. 2016, for r RepLKNet's script (statistic relu)",
}
COUNTS_INPUTS = "With random weights of one draw, ± covers the inputs alone."


@dataclass(frozen=True)
class Line:
    """One result: its name in parts (model, weights), its metrics and their standard errors by flat name."""

    name: tuple[str, ...]
    metrics: Mapping[str, Number]
    stderr: Mapping[str, Number]
    limited: frozenset[str] = frozenset()  # metrics that are bounds; with erf_size the ratio says nothing
    origin: Provenance | None = None  # layer, inputs, seed, weights and statistic; None is not known
    is_global: bool = False  # its TRF is all of the input, whatever that measures
    weights: str = ""  # whose they are, in words
    steps: Mapping[str, float] = field(default_factory=dict)  # of the metrics that lie on a grid, by flat name

    @property
    def statistic(self) -> str:
        """That made the map of the samples' gradients."""
        return self.origin.statistic if self.origin else "abs"


def usual_metrics(lines: Sequence[Line]) -> list[str]:
    """Sizes, and the share of the input with 20, 30, 50, 99 % of the mass: by RepLKNet's script if it was asked for.

    Where a TRF is global through statistics, the TRF without them has a column of its own.
    """
    by_script = any(name in line.metrics for line in lines for name in SCRIPTS_AREAS)
    local = [LOCAL] if any(line.is_global and line.metrics.get(LOCAL) is not None for line in lines) else []
    return [*SIZES[:1], *local, *SIZES[1:], *(SCRIPTS_AREAS if by_script else OWN_AREAS)]


def check_metrics(metrics: Sequence[str]) -> list[str]:
    """The flat names, each known, and `r` for the four areas of RepLKNet's script; raises BadRequest."""
    names = [name for one in metrics for name in (SCRIPTS_AREAS if one == "r" else (one,))]
    for name in names:
        try:
            meaning_of(name)
        except KeyError:
            near = near_names(name)
            more = (
                f"did you mean {' or '.join(near)}?"
                if near
                else "`result.metrics` has the names, and `erfscope measure MODEL --all` lists them"
            )
            raise refuse("bad-request", f"there is no metric {name!r}; {more}") from None
    return names


def asks_for_script(metrics: Sequence[str]) -> bool:
    """Whether some of these metrics come of RepLKNet's script alone."""
    return any(name in SCRIPTS_AREAS for name in metrics)


def latex(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    r"""A tabular with booktabs' rules, a note below it; a model with several rows is named in the first of them.

    Both stand in an outer tabular, so that they can be put into a box as well (\resizebox and the like).
    """
    names = _name_heads(lines)
    plain = [line if line.origin is None else replace(line, origin=None) for line in lines]  # said once, below
    heads = [for_latex(text) for text in (*names, *_headings(plain, metrics))]
    rows, last = [], ""
    for line in lines:
        model, *weights = line.name
        cells = ["" if weights and model == last else model, *weights, *_values(line, metrics)]
        row = " & ".join(map(for_latex, cells)) + r" \\"
        rows.append(f"{{}}{row}" if row.startswith(("[", "*")) else row)  # [ and * would be options of the \\ before
        last = model
    return "\n".join([
        "% with \\usepackage{booktabs} the rules are finer; value ± one standard error",
        "".join(rf"\providecommand{{\{rule}}}{{\hline}}" for rule in ("toprule", "midrule", "bottomrule")) + "%",
        r"\begin{tabular}{@{}c@{}}",
        f"\\begin{{tabular}}{{{'l' * len(names)}{'r' * len(metrics)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular} \\ \noalign{\smallskip}",
        rf"\parbox{{\linewidth}}{{\footnotesize {' '.join(map(for_latex, _notes(lines, metrics)))}}}",
        r"\end{tabular}",
        "",
    ])  # fmt: skip


def remarked(table: str, notes: Sequence[str]) -> str:
    """The LaTeX table with what a reader must know as comments in it: its author decides what the paper says."""
    first, _, rest = table.partition("\n")
    return "\n".join([first, *(f"% note: {one_line(note)}" for note in notes), rest])


def markdown(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """A table of GitHub's Markdown, and a line below it on how it was measured."""
    names = _name_heads(lines)
    rows = [
        [*names, *map(for_cell, _headings(lines, metrics))],
        ["---"] * len(names) + ["--:"] * len(metrics),
        *([*map(for_markdown, line.name), *_values(line, metrics)] for line in lines),
    ]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    below = [*measuring(lines)[:1], *_on_grid(lines, metrics)]
    return table + "".join(f"\n{for_markdown(words)}\n" for words in below)


def table_csv(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """Numbers in full: each metric under its flat name, beside it its standard error, empty where undefined.

    The last columns are how each was measured.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = _name_heads(lines)
    facts = [name for name in dict.fromkeys(name for line in lines for name in _facts(line)) if name not in names]
    numbered = [name for metric in metrics for name in (metric, f"{metric}_stderr")]
    writer.writerow([*names, *numbered, *facts])
    for line in lines:
        numbers = [number for metric in metrics for number in (line.metrics.get(metric), line.stderr.get(metric))]
        measured = [for_csv(_facts(line).get(name, "")) for name in facts]
        writer.writerow(
            [*map(for_csv, line.name), *("" if number is None else number for number in numbers), *measured]
        )
    return text.getvalue()


WRITERS: Mapping[str, Callable[[Sequence[Line], Sequence[str]], str]] = {
    "latex": latex,
    "markdown": markdown,
    "csv": table_csv,
}
ENDINGS: Mapping[str, str] = {".tex": "latex", ".md": "markdown", ".csv": "csv"}


def _notes(lines: Sequence[Line], metrics: Sequence[str]) -> list[str]:
    """Sentences below the table of a paper: how it was measured, and what its marks mean."""
    cells = [cell for line in lines for cell in _values(line, metrics)]
    marks = {mark for mark in MARKS for cell in cells if mark in cell}
    if MISSING in marks and not _is_undefined(lines, metrics):
        marks.remove(MISSING)
    return [
        *measuring(lines),
        *(words for mark, words in MARKS.items() if mark in marks),
        *([SAME_WORDS] if any(cell.endswith(SAME) for cell in cells) else []),
        *([NO_ERROR] if _lacks_error(lines, metrics) else []),
        *_on_script(lines, metrics),
    ]


def _lacks_error(lines: Sequence[Line], metrics: Sequence[str]) -> bool:
    """Whether a measured number is printed without ± beside numbers that have it; of a TRF nobody expects one."""
    cells = [
        cell
        for line in lines
        for metric in metrics
        if not metric.startswith("trf_") and line.metrics.get(metric) is not None and metric not in line.limited
        for cell in [_value(line, metric)]
        if cell not in (GLOBAL, LIMITED)
    ]
    return any("±" in cell for cell in cells) and not all("±" in cell for cell in cells)


def _is_undefined(lines: Sequence[Line], metrics: Sequence[str]) -> bool:
    """Whether a number is missing that was measured: r of RepLKNet's script has to be asked for."""
    measured = [(line, metric) for line in lines for metric in metrics if not _was_not_asked(line, metric)]
    return any(line.metrics.get(metric) is None for line, metric in measured)


def _was_not_asked(line: Line, metric: str) -> bool:
    return metric in SCRIPTS_AREAS and metric not in line.metrics


def _on_script(lines: Sequence[Line], metrics: Sequence[str]) -> list[str]:
    asked = [_was_not_asked(line, metric) for line in lines for metric in metrics if metric in SCRIPTS_AREAS]
    return [*_on_grid(lines, metrics), *([NEEDS_SCRIPT] if any(asked) else [])]


def _on_grid(lines: Sequence[Line], metrics: Sequence[str]) -> list[str]:
    """That r of RepLKNet's script lies on a grid, with its steps; nothing where no r has a value."""
    steps = steps_words(lines, [metric for metric in metrics if metric in SCRIPTS_AREAS])
    return [SCRIPTS_GRID.format(steps=steps)] if steps else []


def steps_words(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """One step of each metric that lies on a grid: `0.0025 at 20 %, 0.0061 to 0.0099 at 50 %`."""
    sizes = {metric: [line.steps[metric] for line in lines if line.steps.get(metric)] for metric in metrics}
    return ", ".join(
        f"{' to '.join(dict.fromkeys(f'{size:.2g}' for size in (min(steps), max(steps))))} at {_share(metric)} %"
        for metric, steps in sizes.items()
        if steps
    )


def _share(metric: str) -> str:
    """The per cent in the flat name of an area: 50 of replknet_50."""
    return metric.split("_")[1]


def measuring(lines: Sequence[Line]) -> list[str]:
    """Layer, input, samples, seed, weights, statistic, protocol: one value, or those of the models or rows, in turn."""
    lines = [line for line in lines if line.origin]
    if not lines:
        return []
    facts = {
        name: [_facts(line)[name] for line in lines] for name in _facts(lines[0]) if name not in _name_heads(lines)
    }
    several = [values for values in facts.values() if len(set(values)) > 1]
    models = [line.name[0] for line in lines]
    firsts = [models.index(name) for name in dict.fromkeys(models)]
    is_by_model = all(values[n] == values[models.index(name)] for values in several for n, name in enumerate(models))
    shown = firsts if is_by_model else range(len(models))
    listed = {name: [values[n] for n in shown] if values in several else values[:1] for name, values in facts.items()}
    words = "; ".join(f"{name} {' / '.join(values)}" for name, values in listed.items())
    sentences = [f"{words[:1].upper()}{words[1:]}."]
    if several:
        rows = "models" if len(shown) < len(models) else "rows"
        sentences.append(f"Several values are those of the {rows}, from top to bottom.")
    origins = [line.origin for line in lines if line.origin]
    if any(one.weights != "given" and one.draws == 1 and one.method == "gradient" for one in origins):
        sentences.append(COUNTS_INPUTS)
    return sentences


def _facts(line: Line) -> dict[str, str]:
    """How a result was measured, in words; nothing where that is not known."""
    origin = line.origin
    if origin is None:
        return {}
    return {
        "layer": origin.layer,
        "input": "×".join(map(str, origin.input_shape)),
        "samples": _samples(origin),
        "seed": str(origin.seed),
        "weights": line.weights,
        "statistic": origin.statistic,
        "protocol": PROTOCOLS.get(origin.protocol, origin.protocol),
    }


def _samples(origin: Provenance) -> str:
    """`16 inputs (normal)`, `4 draws of the weights, 1 input each (normal)`, or the method that needs none."""
    if origin.method != "gradient":
        return origin.method
    each = origin.samples // max(origin.draws, 1)
    inputs = f"{each} input{'' if each == 1 else 's'}"
    draws = "" if origin.draws == 1 else f"{origin.draws} draws of the weights, "
    return f"{draws}{inputs}{' each' if draws else ''} ({origin.source})"


def _name_heads(lines: Sequence[Line]) -> list[str]:
    return ["model", "weights"] if any(len(line.name) > 1 for line in lines) else ["model"]


def _headings(lines: Sequence[Line], metrics: Sequence[str]) -> list[str]:
    """Each metric with its unit, and what comes of another statistic than the usual one with that statistic."""
    statistics = "/".join(dict.fromkeys(line.statistic for line in lines))
    return [_heading(metric, "" if statistics == "abs" else statistics) for metric in metrics]


def _heading(metric: str, statistic: str) -> str:
    row = meaning_of(metric)
    of_the_map = statistic and not metric.startswith("trf_")
    words = [word for word in (statistic if of_the_map else "", row.unit) if word]
    return _BRIEF.get(metric, row.label) + (f" ({', '.join(words)})" if words else "")


def _values(line: Line, metrics: Sequence[str]) -> list[str]:
    return [_value(line, metric) for metric in metrics]


def _value(line: Line, metric: str) -> str:
    if metric == "trf_size" and line.is_global:
        return GLOBAL
    if metric == "erf_ratio" and "erf_size" in line.limited:
        return LIMITED
    if metric == "erf_ratio" and line.is_global:
        return GLOBAL
    written = bound_with_error if metric in line.limited else with_error
    error = line.stderr.get(metric)
    text = written(line.metrics.get(metric), error)
    if error == 0 and text != MISSING and metric not in line.limited:
        text = f"{text} {SAME}"
    return marked(text, metric, is_bound=metric in line.limited)
