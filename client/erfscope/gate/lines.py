"""Line numbers for annotations: tomllib does not keep them, so the text is looked through."""

import re


def line_of(text: str, header: str, index: int, key: str | None = None) -> int:
    """The line of `key` in the index-th `[[header]]` table (0 is the first); of the table where it has none."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{re.escape(header)}\s*\]\]", line)]
    if index >= len(starts):  # an inline array of tables, or no table at all
        return _first(lines, header.rpartition(".")[2]) or 1
    start = starts[index]
    end = starts[index + 1] if index + 1 < len(starts) else len(lines)
    return start + 1 + ((_first(lines[start + 1 : end], key, header) or 0) if key else 0)


def _first(lines: list[str], key: str, header: str = "") -> int:
    """1 for the first line that sets the key or opens its table; 0 where none does."""
    name = rf"[\"']?{re.escape(key)}[\"']?"
    setter = re.compile(rf"\s*(?:{name}\s*[.=]|\[\s*{re.escape(header)}\.{name}\s*[\].])")
    return next((n for n, line in enumerate(lines, start=1) if setter.match(line)), 0)
