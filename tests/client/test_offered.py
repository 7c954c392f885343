"""Commands and backends of other packages: found by their entry points, and named with their extra where they lack."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from erfscope import _backend, errors
from erfscope.cli import commands, main

WITHOUT_REDIS = "import sys; sys.modules['redis'] = None; from erfscope.cli import main; main()"


def erfscope(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["erfscope", *words])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return int(str(ended.value.code)), captured.out, captured.err


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An offered command `scan` whose file imports a package that is not installed."""
    (tmp_path / "scanner_of_a_test.py").write_text("import sklearn_of_a_test\n")
    monkeypatch.syspath_prepend(tmp_path)
    scan = EntryPoint("scan", "scanner_of_a_test:scan", commands.GROUP)
    everything = {**commands.offered_commands(), "scan": scan}
    monkeypatch.setattr(commands, "offered_commands", lambda: everything)
    commands._all.cache_clear()
    monkeypatch.setattr(commands, "_all", commands._all.__wrapped__)


def test_every_package_offers_its_commands() -> None:
    offered = {one.name: one.value.partition(".")[0] for one in entry_points(group=commands.GROUP)}
    assert offered == {
        "keys": "erfscope_service",
        "tenants": "erfscope_service",
        "serve": "erfscope_service",
        "worker": "erfscope_worker",
        "up": "erfscope_worker",
        "reproduce": "erfscope_reproduce",
    }
    assert not set(offered) & set(commands.COMMANDS)


@pytest.mark.usefixtures("lacking")
def test_a_command_that_cannot_be_loaded_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = erfscope(monkeypatch, capsys, "scan")
    assert code == 2
    assert "needs the package 'sklearn_of_a_test', which is not installed" in err
    assert "pip install 'erfscope[local]'" in err


@pytest.mark.usefixtures("lacking")
def test_the_others_are_listed_and_work_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = erfscope(monkeypatch, capsys, "--help")
    assert code == 0
    assert "Not available here: a package that it needs is not installed." in out
    assert "Measure the effective receptive field" in out


@pytest.mark.parametrize("words", [("serve",), ("worker",), ("keys", "list")])
def test_a_part_without_its_packages_names_the_extra(words: tuple[str, ...], tmp_path: Path) -> None:
    environment = {"ERFSCOPE_REDIS_URL": "redis://127.0.0.1:1/0", "COLUMNS": "200", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", WITHOUT_REDIS, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'erfscope[local]'" in done.stderr


def test_without_a_backend_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backend, "entry_points", lambda **_: ())
    _backend.backend.cache_clear()
    with pytest.raises(errors.UnsupportedFeature, match=r"pip install 'erfscope\[local\]'.*ERFSCOPE_URL"):
        _backend.backend()


def test_the_backend_of_this_installation() -> None:
    (offered,) = entry_points(group=_backend.GROUP)
    assert (offered.name, offered.value) == ("local", "erfscope_intake.backend")
    assert all(callable(getattr(_backend.backend(), name)) for name in ("measure", "inspect", "ask"))
