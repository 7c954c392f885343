"""Text that came from strangers (names in a model, words of libraries, labels), made safe for where it is shown.

Every place that shows such text takes its function from here: a terminal, a log, a CSV, Markdown, HTML. The picture has
a rule of its own beside it (`erfscope_picture/text.py`), because its font has few letters.
"""

import re
import unicodedata
from html import escape

REPLACED = "\ufffd"
# Escape sequences paint a terminal, marks of writing direction turn the words around, halves of surrogate pairs cannot
# be written at all. Tabs and line breaks stay.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\ufffe\uffff]"
)
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~])")
# What forges turn into links and mentions although it is plain text.
_LINKED = re.compile(r"@|(?<=#)(?=\d)|(?<=:)(?=//)|(?i:\bwww)(?=\.)|(?i:\bmailto)(?=:)")
_SPAN = re.compile(r"(`[^`]+`)")  # as a forge pairs backticks: all spans count, or text between two would be code
_CODE = re.compile(r"`[A-Za-z0-9_.,:=\"/ -]+`")  # nothing in it means anything to a forge
_JOINER = "\u2060"  # is not seen and breaks no line, and what was one word for a parser is two
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_IN_LOGS = ("Cc", "Cf", "Cs", "Zl", "Zp")


def visible(text: str) -> str:
    """Without control characters, marks of writing direction and characters without width; lines stay lines."""
    return _UNSEEN.sub(REPLACED, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`visible`, with line breaks and runs of white space as one space."""
    return visible(" ".join(text.split()))


def for_terminal(text: str) -> str:
    """For a cell or a line of a terminal."""
    return visible(text).replace("\n", " ").replace("\t", " ")


def for_markdown(text: str) -> str:
    """For Markdown of a forge: no markup, no cell that ends early, no link and nobody who is mentioned."""
    return _escaped(one_line(text))


def for_sentence(text: str) -> str:
    """`for_markdown` of sentences of our own with names of strangers in them: plain words in backticks stay code."""
    return "".join(part if _CODE.fullmatch(part) else _escaped(part) for part in _SPAN.split(one_line(text)))


def for_cell(text: str) -> str:
    """For a cell of a Markdown table, of sentences that are our own: their markup and links stay."""
    return one_line(text).replace("|", "\\|")


def _greek(name: str) -> str:
    """The letter that LaTeX calls alpha or Gamma."""
    size = "SMALL" if name.islower() else "CAPITAL"
    return unicodedata.lookup(f"GREEK {size} LETTER {name.upper().replace('LAMBDA', 'LAMDA')}")


_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
_LATEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\~{}", "^": r"\^{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "≥": r"$\geq$", "≤": r"$\leq$",
    "≈": r"$\approx$", "∞": r"$\infty$", "µ": r"$\mu$", "→": r"$\rightarrow$", "†": r"$\dagger$", "\u2212": "$-$",
    "\u2013": "--", "…": r"\dots{}", REPLACED: "?",
    **{digit: f"$_{n}$" for n, digit in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    **{digit: f"$^{n}$" for n, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    **{_greek(name): f"$\\{name}$" for name in _GREEK.split()},
}  # fmt: skip


def for_latex(text: str) -> str:
    """For a paragraph or a cell of LaTeX: every sign stands for itself, and two hyphens are no dash.

    Letters that pdfLaTeX has no font for stay as they are, for XeLaTeX and LuaLaTeX.
    """
    parts = re.split("-(?=-)", one_line(text))
    return "-{}".join("".join(_LATEX.get(letter, letter) for letter in part) for part in parts)


def _escaped(text: str) -> str:
    return _LINKED.sub(_apart, _MARKUP.sub(r"\\\1", text))


def _apart(found: re.Match[str]) -> str:
    return f"{found[0]}{_JOINER}"


def for_html(text: str) -> str:
    """For HTML, between tags and in attributes."""
    return escape(visible(text))


def for_csv(text: str) -> str:
    """For a cell of a CSV: a spreadsheet computes what begins like a formula."""
    cell = for_terminal(text)
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def for_log(text: str) -> str:
    """For a line of a log: what cannot be printed as a backslash escape, so that nothing is lost and nothing forged."""
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in _IN_LOGS else c for c in text)


def for_label(text: str) -> str:
    """For a name that is stored and shown everywhere: characters that are not seen are left out."""
    return "".join(c for c in text if unicodedata.category(c)[0] not in "CZ" or c == " ").strip()
