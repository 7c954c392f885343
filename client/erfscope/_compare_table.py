"""A comparison as a table for a paper, a README or a spreadsheet: a row for each result, a column for each metric."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from erfscope._compare_facts import Line, facts_of, heads, measuring
from erfscope._errors import refuse
from erfscope_contract.limits import AT_LEAST, CUT, GLOBAL, marked, printed_error
from erfscope_contract.meanings import meaning_of, near_names
from erfscope_contract.numbers import MISSING, SAME
from erfscope_contract.result import Number
from erfscope_contract.text import for_cell, for_csv, for_latex, for_markdown, one_line

SHARES = (20, 30, 50, 99)
SIZES = ("trf_size", "erf_size", "erf_ratio")
LOCAL = "trf_size_local"
OWN_AREAS = tuple(f"mass_{share}_ratio" for share in SHARES)
SCRIPTS_AREAS = tuple(f"replknet_{share}" for share in SHARES)
NO_NUMBER = f"{MISSING} {CUT}"
LEAST = AT_LEAST.strip()
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
_IN_LATEX: Mapping[str, str] = {f"replknet_{share}": rf"$r_{{{share}\,\%}}$" for share in SHARES}
MARKS: Mapping[str, str] = {
    "±": "± is one standard error over the inputs and, if there are several, over draws of the weights.",
    LEAST: f"{LEAST}: limited by the input, a lower bound without ±.",
    CUT: f"{CUT}: limited by the input, a share of this input size alone, without ±.",
    NO_NUMBER: f"{NO_NUMBER}: limited by the input, which leaves no number.",
    GLOBAL: f"{GLOBAL.capitalize()}: a layer on the way (attention, shifted windows, a mean over the image) passes on "
    "every pixel, some faintly, so the TRF is the whole input at every input size. No ratio to the TRF is given; the "
    "ERF tells what counts.",
    MISSING: f"{MISSING}: no value, because the metric is undefined for this map.",
}
BOUNDS = (LEAST, CUT, NO_NUMBER, GLOBAL)  # of MARKS: not to be guessed, so every form tells them
SAME_WORDS = f"{SAME}: the number is the same in all parts of the samples."
NO_ERROR = "No ±: the number is exact, or one sample has no standard error."
SCRIPTS_GRID = (
    "r is the area of RepLKNet's script. It lies on a grid: the script's squares grow by 2 px a side, so one step is "
    "{steps}. ± of r is one step, or its standard error where that is larger."
)
_SCRIPTS_R = re.compile(r"\br(?= is the area| has a value| is one step| RepLKNet's script)")
NEEDS_SCRIPT = "r has a value only where it was measured with protocol replknet or both."


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
    names = heads(lines)
    plain = [replace(line, measured=None) for line in lines]  # said once, below
    columns = [_in_latex(metric, words) for metric, words in zip(metrics, _headings(plain, metrics), strict=True)]
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
        " & ".join([*names, *columns]) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular} \\ \noalign{\smallskip}",
        rf"\parbox{{\linewidth}}{{\footnotesize {' '.join(map(_note_in_latex, _notes(lines, metrics)))}}}",
        r"\end{tabular}",
        "",
    ])  # fmt: skip


def _in_latex(metric: str, heading: str) -> str:
    """The head of a column; r of RepLKNet's script as mathematics."""
    symbol = _IN_LATEX.get(metric)
    return for_latex(heading) if symbol is None else symbol + for_latex(heading.removeprefix(_BRIEF[metric]))


def _note_in_latex(words: str) -> str:
    return _SCRIPTS_R.sub("$r$", for_latex(words))


def remarked(table: str, notes: Sequence[str]) -> str:
    """The LaTeX table with what a reader must know as comments in it: its author decides what the paper says."""
    first, _, rest = table.partition("\n")
    return "\n".join([first, *(f"% note: {one_line(note)}" for note in notes), rest])


def markdown(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """A table of GitHub's Markdown, and a line below it on how it was measured."""
    names = heads(lines)
    rows = [
        [*names, *map(for_cell, _headings(lines, metrics))],
        ["---"] * len(names) + ["--:"] * len(metrics),
        *([*map(for_markdown, line.name), *_values(line, metrics)] for line in lines),
    ]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    below = [*measuring(lines)[:1], " ".join(_marks(lines, metrics, BOUNDS)), *_on_grid(lines, metrics)]
    return table + "".join(f"\n{for_markdown(words)}\n" for words in below if words)


def table_csv(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """Numbers in full: each metric under its flat name, beside it its standard error, empty where undefined.

    A metric that lies on a grid has the grid's step as well. `limited` names the metrics that the input limits. The
    last columns are how each was measured.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = heads(lines)
    facts = [name for name in dict.fromkeys(name for line in lines for name in facts_of(line)) if name not in names]
    numbered = [f"{metric}{ending}" for metric in metrics for ending in ("", "_stderr", *_steps(metric))]
    writer.writerow([*names, *numbered, "limited", *facts])
    for line in lines:
        numbers = ["" if number is None else number for metric in metrics for number in _numbers(line, metric)]
        bounds = " ".join(metric for metric in metrics if metric in line.limited)
        measured = [for_csv(facts_of(line).get(name, "")) for name in facts]
        writer.writerow([*map(for_csv, line.name), *numbers, bounds, *measured])
    return text.getvalue()


def _steps(metric: str) -> Sequence[str]:
    """The ending of a column for the step of the grid, of a metric that lies on one."""
    return ("_step",) if metric in SCRIPTS_AREAS else ()


def _numbers(line: Line, metric: str) -> list[Number]:
    numbers = [line.metrics.get(metric), line.stderr.get(metric)]
    return [*numbers, *(line.steps.get(metric) or None for _ in _steps(metric))]


WRITERS: Mapping[str, Callable[[Sequence[Line], Sequence[str]], str]] = {
    "latex": latex,
    "markdown": markdown,
    "csv": table_csv,
}
ENDINGS: Mapping[str, str] = {".tex": "latex", ".md": "markdown", ".csv": "csv"}


def _notes(lines: Sequence[Line], metrics: Sequence[str]) -> list[str]:
    """Sentences below the table of a paper: how it was measured, and what its marks mean."""
    return [
        *measuring(lines),
        *_marks(lines, metrics, (*MARKS, SAME)),
        *([NO_ERROR] if _lacks_error(lines, metrics) else []),
        *_on_script(lines, metrics),
    ]


def _marks(lines: Sequence[Line], metrics: Sequence[str], known: Sequence[str]) -> list[str]:
    """What the marks in the table's cells mean, of those that are to be told."""
    cells = [cell for line in lines for cell in _values(line, metrics)]
    marks = {mark for mark in MARKS for cell in cells if (cell == mark if NO_NUMBER in (cell, mark) else mark in cell)}
    if MISSING in marks and not _is_undefined(lines, metrics):
        marks.remove(MISSING)
    same = [SAME_WORDS] if SAME in known and any(cell.endswith(SAME) for cell in cells) else []
    return [*(words for mark, words in MARKS.items() if mark in marks and mark in known), *same]


def _lacks_error(lines: Sequence[Line], metrics: Sequence[str]) -> bool:
    """Whether a measured number is printed without ± beside numbers that have it; of a TRF nobody expects one."""
    cells = [
        cell
        for line in lines
        for metric in metrics
        if not metric.startswith("trf_") and line.metrics.get(metric) is not None and metric not in line.limited
        for cell in [_value(line, metric)]
        if cell not in (GLOBAL, NO_NUMBER)
    ]
    return any("±" in cell for cell in cells) and not all("±" in cell for cell in cells)


def _is_undefined(lines: Sequence[Line], metrics: Sequence[str]) -> bool:
    """Whether a number is missing that was measured: r of RepLKNet's script has to be asked for."""
    measured = [(line, metric) for line in lines for metric in metrics if not _was_not_asked(line, metric)]
    return any(line.metrics.get(metric) is None and metric not in line.limited for line, metric in measured)


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
        return NO_NUMBER
    if metric == "erf_ratio" and line.is_global:
        return GLOBAL
    value, is_bound = line.metrics.get(metric), metric in line.limited
    if value is None:
        return NO_NUMBER if is_bound else MISSING
    error = printed_error(line.stderr.get(metric), line.steps.get(metric, 0.0))
    text = marked(value, error, metric, is_bound=is_bound)
    return f"{text} {SAME}" if error == 0 and not is_bound else text
