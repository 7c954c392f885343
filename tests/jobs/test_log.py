"""Log lines: whole, one per record, with what they are about; no text of a user forges or drives anything."""

import json
import logging
from collections.abc import Iterator

import pytest

from erfscope_jobs import log

HOSTILE = "a\r\nERROR fake\x1b[2J\u202e\u2028é"


class Stderr:
    """What is logged."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self.getvalue = lambda: captured.readouterr().err


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Stderr]:
    """What is logged; the root logger is as before afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield Stderr(capsys)
    root.handlers[:] = before
    root.setLevel(level)


def test_a_json_line_holds_the_facts_and_no_control_character(stderr: Stderr) -> None:
    log.configure("json")
    with log.about(request_id="req-1"):
        log.note(job=HOSTILE)
        logging.getLogger("n").info("name %s", HOSTILE, extra={"facts": {"seconds": 0.5}})
    text = stderr.getvalue()
    assert text.isascii()
    assert text.removesuffix("\n").isprintable(), "one line"
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "n", f"name {HOSTILE}")
    assert (line["request_id"], line["job"], line["seconds"]) == ("req-1", HOSTILE, 0.5)


def test_a_text_line_is_escaped(stderr: Stderr) -> None:
    log.configure("text")
    with log.about(request_id="req-1"):
        logging.getLogger("n").info("name %s", HOSTILE)
    line = stderr.getvalue().removesuffix("\n")
    assert line.isprintable()
    assert "INFO n (request_id=req-1) name a\\r\\nERROR fake\\x1b[2J\\u202e\\u2028é" in line


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_stays_with_its_line(stderr: Stderr, form: log.Form) -> None:
    log.configure(form)
    try:
        raise ValueError("two\nlines\x1b[2J")
    except ValueError:
        logging.getLogger("n").exception("broken")
    text = stderr.getvalue()
    assert "\x1b" not in text
    first, *rest = text.splitlines()
    if form == "json":
        assert rest == []
        assert "ValueError: two\nlines" in json.loads(first)["exception"]
    else:
        assert first.endswith("broken")
        assert rest
        assert all(line.startswith("    ") for line in rest)


def test_where_no_terminal_is_auto_means_json(stderr: Stderr) -> None:
    log.configure("auto")
    logging.getLogger("n").warning("said")
    assert json.loads(stderr.getvalue())["message"] == "said"


def test_facts_end_with_what_they_are_about(stderr: Stderr) -> None:
    log.configure("json")
    log.note(job="nobody's")
    with log.about(request_id="one"):
        assert log.noted("request_id") == "one"
    logging.getLogger("n").info("after")
    line = json.loads(stderr.getvalue())
    assert "request_id" not in line
    assert "job" not in line


def test_a_line_that_repeats_is_counted() -> None:
    now = [0.0]
    repeats = log.Repeats(lambda: now[0])

    def warn(number: int, level: int = logging.WARNING) -> logging.LogRecord | None:
        record = logging.LogRecord("x", level, "", 0, "job %s is away", (number,), None)
        return record if repeats.filter(record) else None

    written = [record for number in range(23_000) if (record := warn(number))]
    assert [record.args for record in written[: log.BURST]] == [(number,) for number in range(log.BURST)]
    assert [getattr(record, "facts", {}).get("repeated") for record in written[log.BURST :]] == [100, 1_000, 10_000]
    assert warn(0, logging.INFO) is not None  # what requests say of themselves is never left out
    other = logging.LogRecord("x", logging.WARNING, "", 0, "other words", (), None)
    assert repeats.filter(other)
    now[0] = log.WINDOW_SECONDS + 1
    assert warn(1) is not None
