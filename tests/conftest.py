"""What every test shares."""

import signal
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# Few tests, minutes each: they begin first, so that no worker is left alone with one of them at the end.
HOUSED = ("docs", "page", "house")  # each process of a run has one `erfscope up` for all of these
LONG = (
    *HOUSED,
    "worker",
    "chaos",
    "engine/test_programs_over_images",
    "engine/test_programs",
    "benchmarks/test_timm",
    "gate",
    "reproduce",
    "jobs",
    "service",
)
HERE = Path(__file__).parent
HOUSE = pytest.StashKey[Any]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests first, each file in one piece."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(HERE).as_posix() if item.path.is_relative_to(HERE) else ""
        return next((k for k, start in enumerate(LONG) if name.startswith(start)), len(LONG))

    items.sort(key=place)


def _folder(item: pytest.Item) -> str:
    """The folder of a test here; empty for tests of elsewhere."""
    return item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""


@pytest.fixture(scope="session")
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running `erfscope up` that tests share. It takes ten seconds of a core to start, and 1 % of it when idle."""
    from tests.house.conftest import House

    running = request.config.stash[HOUSE] = House(tmp_path_factory.mktemp("house"))
    yield running
    running.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What was stopped below runs again."""
    house = item.config.stash.get(HOUSE, None)
    if house is not None and house.rests and _folder(item) in HOUSED:
        house.start()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The house is not kept running for tests that do not want it."""
    house = item.config.stash.get(HOUSE, None)
    if house is not None and nextitem is not None and _folder(item) in HOUSED and _folder(nextitem) not in HOUSED:
        house.stop()
        house.rests = True


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
def _certificates_are_read_once() -> Iterator[None]:
    """Every client of httpx2 reads the system's, 27 ms of a core, though no test uses TLS; some tests make hundreds."""
    try:
        import httpcore2
    except ImportError:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        yield


@pytest.fixture(autouse=True, scope="session")
def _interrupts_are_heard() -> None:
    """A shell starts what runs in the background deaf to Ctrl-C, and children inherit it; some tests press it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
