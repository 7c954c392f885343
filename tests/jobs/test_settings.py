"""Settings: from the environment, with defaults that fit the machine."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from erfscope_jobs.settings import Settings, cores


def test_environment_names_and_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERFSCOPE_REDIS_URL", "unix:///s?db=1")
    monkeypatch.setenv("ERFSCOPE_LEASE_SECONDS", "3.5")
    monkeypatch.setenv("ERFSCOPE_ALLOW_UNSANDBOXED", "1")
    settings = Settings()
    assert (settings.redis_url, settings.lease_seconds) == ("unix:///s?db=1", 3.5)
    assert settings.allow_unsandboxed is True


@pytest.mark.parametrize("wrong", [{"lease_seconds": 0}, {"device": "tpu"}, {"namespace": "a:b"}])
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_blobs_lie_below_the_data_unless_told(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).blobs == tmp_path / "blobs"
    assert Settings(data_dir=tmp_path, blob_dir=tmp_path / "x").blobs == tmp_path / "x"


QUOTAS = {"max 100000": 10**6, "100000 100000": 1, "50000 100000": 1, "nonsense": 10**6}


@pytest.mark.parametrize("text", QUOTAS)
def test_cores_respect_a_containers_share(tmp_path: Path, text: str) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert cores(quota) == min(QUOTAS[text], cores(tmp_path / "missing"))


def test_threads_are_shared_among_children() -> None:
    assert Settings(threads=3).job_threads == 3
    assert Settings(concurrency=10_000).job_threads == 1
    assert 1 <= Settings().job_threads <= (os.cpu_count() or 1)
