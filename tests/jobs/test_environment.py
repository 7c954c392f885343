"""Settings that cannot be used are named by their variable, and so is a name that is nearly one."""

import os
import subprocess
import sys

import pytest

from erfscope_jobs.environment import BadSettings, misspelt, read
from erfscope_jobs.settings import Settings
from erfscope_service.settings import ServiceSettings


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ERFSCOPE_JOB_SECONDS", "abc", "ERFSCOPE_JOB_SECONDS is 'abc'; it must be a number"),
        (
            "ERFSCOPE_RATE_LIMIT",
            "10/fortnight",
            "ERFSCOPE_RATE_LIMIT is '10/fortnight'; it must be auto, off, or calls",
        ),
        ("ERFSCOPE_NAMESPACE", "A B", "it must have small letters, digits and - only"),
        ("ERFSCOPE_REDIS_URL", "foo:secret", "ERFSCOPE_REDIS_URL (--redis-url) must name a Redis: redis://"),
        ("ERFSCOPE_DEVICE", "tpu", "must be 'auto', 'cpu' or 'cuda'"),
    ],
)
def test_what_cannot_be_used(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadSettings) as caught:
        read(ServiceSettings)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_misspelt_name_is_told_with_the_one_it_means() -> None:
    (line,) = misspelt(Settings, {"ERFSCOPE_JOB_SECOND": "3", "ERFSCOPE_THREADS": "2", "ERFSCOPE_PUBLISH": "80"})
    assert line.startswith("ERFSCOPE_JOB_SECOND is no setting")
    assert line.endswith("did you mean ERFSCOPE_JOB_SECONDS?")


def test_a_worker_takes_no_setting_of_a_service_for_a_misspelt_one() -> None:
    assert misspelt(Settings, {f"ERFSCOPE_{name.upper()}": "" for name in ServiceSettings.model_fields}) == []


@pytest.mark.parametrize("module", ["erfscope_service", "erfscope_worker"])
def test_parts_end_with_words(module: str) -> None:
    environment = {**os.environ, "ERFSCOPE_LEASE_SECONDS": "soon", "ERFSCOPE_JOB_SECOND": "3"}
    command = [sys.executable, "-P", "-m", module]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "warning: ERFSCOPE_JOB_SECOND is no setting and does nothing; did you mean ERFSCOPE_JOB_SECONDS?",
        "erfscope cannot start:",
        "ERFSCOPE_LEASE_SECONDS is 'soon'; it must be a number",
    ]
