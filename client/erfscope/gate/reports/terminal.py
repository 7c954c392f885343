"""The report for eyes: a table of all rules, then what to do about those that did not hold."""

from collections.abc import Iterator, Sequence

from rich.console import Group as Parts
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from erfscope.gate.findings import Finding, Report, Rule, Verdict
from erfscope.gate.groups import Group, groups
from erfscope.gate.reports import SIGNS, relative
from erfscope_contract.text import for_terminal

STYLES = {Verdict.PASS: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red", Verdict.BROKEN: "bold magenta"}
HEADINGS = ("check", "model", "metric", "expected", "found", "change", "verdict")
NUMBERS = ("found", "change")


def render(report: Report) -> RenderableType:
    """The whole of it."""
    parts: list[RenderableType] = []
    rows = [one for one in report.findings if one.rule in (Rule.BOUND, Rule.DRIFT)]
    if rows:
        parts += [_table(rows), Text("")]
    for model, change in report.changes:
        parts += [
            Text.assemble(("Changed in ", "bold"), (for_terminal(model), "bold"), ": ", for_terminal(change)),
            Text(""),
        ]
    for group in groups(report):
        parts += [*_block(group), Text("")]
    parts += [Text(f"note: {for_terminal(one.model)}: {for_terminal(one.text)}") for one in report.notes]
    parts.append(Text(f"{report.result}: {report.summary}.", style="bold"))
    if report.baseline:
        parts.append(Text(f"wrote {for_terminal(relative(str(report.baseline), {}))}; {_updates(report)}"))
        parts += [Text(f"  {for_terminal(line)}") for line in report.updates]
        parts += _bounds(report.broken_bounds)
    return Parts(*parts)


def _bounds(broken: Sequence[Finding]) -> Iterator[Text]:
    """The second step where new values are meant: a baseline does not change a bound."""
    if broken:
        yield Text("The baseline is written, and these bounds do not hold. Where the new values are meant, change:")
    for one in broken:
        place = f"{for_terminal(relative(one.file, {}))}:{one.line}"
        words = f"{one.metric} of {one.model}, expected {one.expected}, now {one.measured}"
        yield Text(f"  {place}: {for_terminal(words)}")


def _updates(report: Report) -> str:
    if not report.updates:
        return "every value and layer is as before."
    return "changed since the last commit are:" if report.is_since_commit else "changed are:"


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in NUMBERS else "left", overflow="fold")
    for one in findings:
        cells = (one.check, one.model, one.subject, one.expected, one.measured, one.change_in_percent)
        verdict = Text(f"{SIGNS[one.verdict]} {one.verdict}", style=STYLES[one.verdict])
        table.add_row(*(Text(for_terminal(cell)) for cell in cells), verdict)
    return table


def _block(group: Group) -> Iterator[RenderableType]:
    """Where, what, how to mend."""
    verdict = group.first.verdict
    sign = f"{SIGNS[verdict]} {verdict}"
    yield Text.assemble((sign, STYLES[verdict]), "  ", (" · ".join(map(for_terminal, group.about)), "bold"))
    for line in group.lines:
        yield _indented(Text(_lines(line)))
    if group.remedy:
        yield _indented(Text.assemble(("How to mend: ", "bold"), for_terminal(group.remedy)))
    places = dict.fromkeys(f"{for_terminal(relative(one.file, {}))}:{one.line}" for one in group.findings)
    yield _indented(Text(", ".join(places), style="dim"))


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2), expand=False)


def _lines(text: str) -> str:
    """Line breaks stay, what hides in the lines does not."""
    return "\n".join(for_terminal(line) for line in text.splitlines())
