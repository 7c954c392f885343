"""docs/settings.md is what the settings say; docs/operations.md names commands, files and variables that exist."""

import re

import pytest
import yaml
from tests.house.conftest import ROOT
from tests.house.settings_page import page

from erfscope_service.settings import ServiceSettings
from erfscope_worker.commands.up import up
from erfscope_worker.embedded import restarts, stack

OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")


def test_the_settings_page_is_up_to_date() -> None:
    command = "run: python -m tests.house.settings_page docs/settings.md"
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == page(), command


def test_every_variable_that_is_named_is_read() -> None:
    variables = {f"ERFSCOPE_{name.upper()}" for name in ServiceSettings.model_fields}
    compose = (ROOT / "deploy" / "compose.yml").read_text("utf-8") + (ROOT / "docker-compose.yml").read_text("utf-8")
    substituted = set(re.findall(r"\$\{(ERFSCOPE_\w+)", compose)) | {"ERFSCOPE_API_KEY"}
    named = set(re.findall(r"ERFSCOPE_[A-Z_]+", OPERATIONS))
    assert named
    assert named - variables - substituted == set()


@pytest.mark.parametrize("kind", ["deploy/[\\w./-]+", "docs/[\\w./-]+", "benchmarks/[\\w./-]+"])
def test_every_path_that_is_named_is_there(kind: str) -> None:
    for place in set(re.findall(kind, OPERATIONS)):
        assert (ROOT / place.rstrip(".")).exists(), place


def test_every_module_that_is_run_is_there() -> None:
    for module in set(re.findall(r"python -m ((?:benchmarks|tests)[\w.]+)", OPERATIONS)):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def test_the_numbers_of_up_are_those_of_the_code() -> None:
    words = {
        f"a log over {ServiceSettings.model_fields['log_bytes'].default >> 20} mib (`erfscope_log_bytes`)",
        f"at least {stack.STORE_BYTES[0] >> 20} mib and at most {stack.STORE_BYTES[1] >> 30} gib",
        f"started again {restarts.FIRST:g} s later, and after further deaths up to {restarts.LONGEST:g} s later",
        f"`erfscope_shutdown_grace` ({stack.WORKER_GRACE:g} s here)",
    }
    text = " ".join(OPERATIONS.lower().split())
    assert {one for one in words if one not in text} == set()


def test_the_limits_of_a_tenant_are_those_of_the_settings() -> None:
    fields = ("max_model_bytes_per_tenant", "max_file_bytes_per_tenant", "max_result_bytes_per_tenant")
    model, image, result = (ServiceSettings.model_fields[name].default >> 30 for name in fields)
    text = " ".join(OPERATIONS.split())
    assert f"each may store {model} GiB of models, {image} GiB of images and {result} GiB of results" in text
    assert (
        f"at {ServiceSettings.model_fields['disk_watermark'].default:.0%} (`ERFSCOPE_DISK_WATERMARK`)".replace(
            "%", " %"
        )
        in text
    )


def test_the_grace_of_up_is_told_wherever_the_setting_is() -> None:
    described = ServiceSettings.model_fields["shutdown_grace"].description or ""
    help_text = " ".join((up.__doc__ or "").split())
    platform = (ROOT / "docs" / "tutorials" / "platform.md").read_text("utf-8")
    for text in (described, help_text, platform):
        assert f"{stack.WORKER_GRACE:g} s" in text


def test_the_scrape_for_plain_processes_is_that_of_compose() -> None:
    (text,) = re.findall(r'^```yaml title="in /etc/prometheus/.*?\n(.*?)^```', OPERATIONS, re.M | re.S)
    (job,) = yaml.safe_load(text)["scrape_configs"]
    (compose,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))["scrape_configs"]
    assert job["job_name"] == compose["job_name"]
    assert set(job["authorization"]) == set(compose["authorization"])
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{ServiceSettings.model_fields['port'].default}"]}]


def test_every_metric_that_is_named_is_one() -> None:
    reference = (ROOT / "docs" / "reference" / "prometheus.md").read_text("utf-8")
    named = set(re.findall(r"`(erfscope_[a-z_]+)", OPERATIONS))
    assert named
    assert {one for one in named if f"`{one}`" not in reference} == set()
