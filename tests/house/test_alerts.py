"""Alerts and dashboard: every figure that they show exists, and every alert says what to do."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest
import yaml
from tests.house.conftest import PATIENCE, ROOT, House, wait_until
from tests.house.deployment import ALERTS, COMPOSE, DASHBOARD, DEPLOY, SMALL, scrape_job


def expressions() -> list[str]:
    """Every query of alerts and dashboard."""
    alerts = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*alerts, *panels]


@pytest.fixture(scope="module")
def exposed(house: House, tmp_path_factory: pytest.TempPathFactory) -> str:
    """/metrics of a service that has done a job, refused a request and was copied."""
    copied = [
        ROOT / "deploy" / "backup.sh",
        house.data_dir / "valkey",
        house.data_dir / "blobs",
        tmp_path_factory.mktemp("copy"),
    ]
    subprocess.run(copied, check=True)
    with httpx2.Client(base_url=house.url, trust_env=False, timeout=PATIENCE) as http:
        http.get("/erf/no-such-job")
        place = http.post("/erf", json=SMALL).headers["Location"]
        wait_until("a small job", lambda: http.get(place).json()["status"] == "succeeded")
        return http.get("/metrics").text


def test_every_figure_that_is_shown_exists(exposed: str) -> None:
    there = set(re.findall(r"^([a-z_]+)[{ ]", exposed, flags=re.MULTILINE))
    named = {name for text in expressions() for name in re.findall(r"\b(?:erfscope|process)_[a-z_]+", text)}
    assert len(named) > 6
    assert named <= there, named - there


def test_the_disk_and_the_backup_are_told(house: House, exposed: str) -> None:
    figures = {name: float(value) for name, value in re.findall(r"^(erfscope_[a-z_]+) (\S+)$", exposed, re.MULTILINE)}
    disk = shutil.disk_usage(house.data_dir)
    assert figures["erfscope_disk_used_share"] == pytest.approx(disk.used / (disk.used + disk.free), abs=0.02)
    assert figures["erfscope_disk_free_bytes"] == pytest.approx(disk.free, rel=0.1)
    assert 0 <= figures["erfscope_backup_age_seconds"] < PATIENCE


def test_every_event_that_is_shown_is_counted() -> None:
    scripts = "".join(place.read_text("utf-8") for place in (ROOT / "service/erfscope_jobs/scripts").glob("*.lua"))
    named = {event for text in expressions() for event in re.findall(r'event="(\w+)"', text)}
    assert named
    statuses = {"succeeded", "failed", "canceled", "expired"}  # close() counts the status that it is given
    assert all(event in statuses or f"'{event}'" in scripts for event in named), named


def test_alerts_say_what_to_do_and_panels_stand_apart() -> None:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"]["summary"].endswith(".")
            assert rule["annotations"]["action"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]}
    assert len(places) == len(DASHBOARD["panels"]) == len({panel["id"] for panel in DASHBOARD["panels"]})


def test_prometheus_knows_its_alerts_and_the_replicas() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert [Path(name).name for name in scraped["rule_files"]] == ["alerts.yml"]
    (job,) = scraped["scrape_configs"]
    assert job["dns_sd_configs"][0]["names"] == ["api"]
    secret = COMPOSE["services"]["prometheus"]["secrets"][0]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("words", [("check", "rules", "alerts.yml"), ("test", "rules", "tests.yml")])
def test_alerts_fire_when_they_should(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_tells_that_every_replica_is_gone() -> None:
    """Without a replica there is no series that a comparison could fail on."""
    rules = {rule["alert"]: rule for group in ALERTS["groups"] for rule in group["rules"]}
    assert rules["ErfscopeGone"]["expr"].startswith("absent(")
    assert f'job="{scrape_job()["job_name"]}"' in rules["ErfscopeGone"]["expr"]
