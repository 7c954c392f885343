"""Text of strangers: inert in a terminal, a log, a CSV, Markdown and HTML, and readable all the same."""

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erfscope_contract import text

HOSTILE = {
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "line break": "a\r\n::error::forged",
    "bidi": "\u202eflipped\u2066",
    "no width": "in\u200bvisible\ufeff",
    "surrogate": "half \ud800 of a pair",
    "markup": "[x](javascript:alert(1)) <img src=x onerror=alert(1)> `c` | cell | # head ~~s~~",
    "mention": "@everyone look at #123 and www.evil.example or https://evil.example or mailto:a@b.c",
    "formula": '=HYPERLINK("https://evil.example")',
}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
ANY = st.text(max_size=40) | st.sampled_from(sorted(HOSTILE.values()))


@given(ANY)
def test_nothing_paints_turns_or_breaks(words: str) -> None:
    for shown in (text.for_terminal(words), text.for_markdown(words), text.for_csv(words), text.for_log(words)):
        assert not CONTROL.search(shown)
        assert "\n" not in shown
        shown.encode()


@given(ANY)
def test_what_is_harmless_stays(words: str) -> None:
    plain = "".join(c for c in words if c.isascii() and c.isalnum())
    for clean in (text.visible, text.one_line, text.for_terminal, text.for_html, text.for_csv, text.for_log):
        assert clean(plain) == plain


@given(ANY)
def test_html_is_one_text_node(words: str) -> None:
    class Heard(HTMLParser):
        tags = 0
        words = ""

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.tags += 1

        def handle_data(self, data: str) -> None:
            self.words += data

    heard = Heard()
    heard.feed(f"<p title='{text.for_html(words)}'>{text.for_html(words)}</p>")
    heard.close()
    assert heard.tags == 1
    assert heard.words == text.visible(words)


@given(ANY)
def test_a_csv_cell_is_one_cell_and_no_formula(words: str) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow([text.for_csv(words), "next"])
    ((cell, following),) = csv.reader(io.StringIO(file.getvalue()))
    assert following == "next"
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_has_no_markup_link_or_mention(name: str) -> None:
    shown = text.for_markdown(HOSTILE[name])
    without_escapes = re.sub(r"\\[\\`*_{}\[\]<>|#~]", "", shown)
    assert not re.search(r"[`*_\[\]<>|#~]", without_escapes)
    assert not re.search(r"@\w|\bwww\.|://|#\d|mailto:", shown)


@given(ANY)
def test_latex_has_no_sign_that_means_something(words: str) -> None:
    shown = text.for_latex(words)
    assert "\n" not in shown
    rest = re.sub(r"\\[_%&#${}]|\\[~^]\{\}|\\(text[a-z]+|dots)\{\}|-\{\}|\$[\\A-Za-z0-9_^-]+\$", "", shown)
    assert not re.search(r"[\\_%&#${}~^<>|]", rest)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("a_b & 50 % ± 0.1", r"a\_b \& 50 \% $\pm$ 0.1"),
        ("β₁ = 0², λ → Ω", r"$\beta$$_1$ = 0$^2$, $\lambda$ $\rightarrow$ $\Omega$"),
        ("a--b---c – d", "a-{}-b-{}-{}-c -- d"),
        (r"C:\net{1}<x>", r"C:\textbackslash{}net\{1\}\textless{}x\textgreater{}"),
    ],
)
def test_every_sign_stands_for_itself_in_latex(words: str, shown: str) -> None:
    assert text.for_latex(words) == shown


def test_a_joiner_is_not_seen() -> None:
    assert text.for_markdown("see @ann").replace("\u2060", "") == "see @ann"
    assert text.for_markdown("layer1/conv_2").replace("\\", "") == "layer1/conv_2"


def test_a_log_loses_nothing() -> None:
    assert text.for_log("a\r\n\x1b[31mb\u202e") == r"a\r\n\x1b[31mb\u202e"


def test_nothing_else_cleans_text() -> None:
    """Whatever shows text of strangers takes its function from there; the picture's font has a rule of its own."""
    root = Path(__file__).parents[2]
    found = [
        place.relative_to(root).as_posix()
        for folder in ("client", "service", "worker")
        for place in (root / folder).rglob("*.py")
        if re.search(r"^(import unicodedata|from html import|import html)", place.read_text("utf-8"), re.MULTILINE)
    ]
    assert sorted(found) == ["client/erfscope_contract/text.py", "client/erfscope_picture/text.py"]


def test_a_label_leaves_out_what_is_not_seen() -> None:
    assert text.for_label(" net\x00\u202e\u2028 one.onnx ") == "net one.onnx"
