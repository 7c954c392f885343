"""What every test shares."""

import signal
from collections import Counter
from pathlib import Path

import pytest

# Few tests, minutes each: they begin first, so that no worker is left alone with one of them at the end.
LONG = ("docs", "page", "worker", "house", "client/test_up", "gate", "reproduce", "jobs", "service")
HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests first, each file in one piece."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(HERE).as_posix() if item.path.is_relative_to(HERE) else ""
        return next((k for k, start in enumerate(LONG) if name.startswith(start)), len(LONG))

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last lines: how many tests were skipped, by reason. A suite that is green may have left out a whole part."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    terminalreporter.section(f"{len(skipped)} tests were skipped")
    for reason, tests in reasons.most_common():
        terminalreporter.write_line(f"{tests:5} {reason}")


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    """Bits depend on the number of threads; one keeps tests alike on every machine."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _interrupts_are_heard() -> None:
    """A shell starts what runs in the background deaf to Ctrl-C, and children inherit it; some tests press it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
