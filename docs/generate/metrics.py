"""reference/metrics.md: every scalar of a result, from the contract's table of meanings."""

from docs.generate.table import joined, table
from erfscope_contract.meanings import TABLE, TERMS

HEAD = """# Metrics

Every scalar by its flat name: in `Result.metrics`, `stderr`, CSV files, series and the CI gate. `{}` stands for an axis
(x, y, z), for a share in per cent (20, 30, 50, 99; 50, 90, 99 for radii) or for the number of a principal axis. What is
undefined for a map has no value (`null`, `None`), never NaN. How to read them stands in
[the science](../science/metrics.md)."""


def metrics() -> str:
    """The page, one section for each group, and the glossary."""
    groups = list(dict.fromkeys(row.group for row in TABLE.values()))
    words = f"## Words\n\n{table(('word', 'meaning'), list(TERMS.items()))}"
    return joined([HEAD, *(f"## {group}\n\n{_rows(group)}" for group in groups), words])


def _rows(group: str) -> str:
    rows = [
        (f"`{name}`", row.label.replace("{}", "…"), row.unit, row.words)
        for name, row in TABLE.items()
        if row.group == group
    ]
    return table(("name", "label", "unit", "meaning"), rows)
