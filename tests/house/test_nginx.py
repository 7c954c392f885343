"""deploy/nginx: the proxy of compose and the site of a machine take what the service takes, and pass it on."""

import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.chaos.parts import free_port
from tests.chaos.town import listens
from tests.house.conftest import PATIENCE, House, wait_until
from tests.house.deployment import NGINX, SITE, SMALL

from erfscope_service.settings import ServiceSettings

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
FILES = {"nginx.conf": NGINX, "site.conf": SITE}
NAME = "erfscope.example.org"
LETSENCRYPT = f"/etc/letsencrypt/live/{NAME}"
AROUND = """pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    access_log off;
    {site}
}}
"""


@pytest.mark.parametrize("file", FILES)
def test_nginx_waits_longer_and_takes_more_than_the_service(file: str) -> None:
    def value(directive: str) -> str:
        (text,) = re.findall(rf"^\s*{directive} ([^;]+);", FILES[file], flags=re.MULTILINE)
        return str(text)

    settings = ServiceSettings()
    seconds = {name: int(value(name).removesuffix("s")) for name in ("proxy_read_timeout", "client_header_timeout")}
    assert seconds["proxy_read_timeout"] > max(settings.long_poll_seconds, settings.keep_alive_seconds)
    assert seconds["client_header_timeout"] <= 30
    assert int(value("client_body_timeout").removesuffix("s")) <= 30
    body = int(value("client_max_body_size").removesuffix("m")) << 20
    assert body > settings.max_model_bytes + settings.max_data_bytes + settings.max_json_bytes
    assert value("proxy_buffering") == value("proxy_request_buffering") == "off"
    assert value("proxy_set_header X-Forwarded-For") == "$remote_addr", "nothing of what the caller wrote there"
    assert "non_idempotent" not in FILES[file]


def test_the_site_passes_on_to_the_default_address_and_ends_tls() -> None:
    settings = ServiceSettings()
    assert f"proxy_pass http://{settings.host}:{settings.port};" in SITE
    assert set(re.findall(r"server_name ([^;]+);", SITE)) == {NAME}
    assert "listen 443 ssl;" in SITE
    assert re.search(r"listen 80;.*return 301 https://", SITE, re.DOTALL)


def compose_file(folder: Path, url: str, port: int) -> str:
    """nginx.conf; only addresses, ports and folders are others."""
    text = NGINX.replace("/tmp/", f"{folder}/").replace("http://api:8000", url)
    return text.replace("listen 8080", f"listen 127.0.0.1:{port}")


def site_file(folder: Path, url: str, port: int) -> str:
    """site.conf inside a plain nginx.conf, with a certificate of its own."""
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    words += " -keyout privkey.pem -out fullchain.pem"
    name = ["-subj", f"/CN={NAME}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *words.split(), *name], cwd=folder, check=True, capture_output=True)
    text = SITE.replace("http://127.0.0.1:8000", url).replace(LETSENCRYPT, str(folder))
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    return AROUND.format(folder=folder, site=text.replace("listen 443", f"listen 127.0.0.1:{port}"))


Write = Callable[[Path, str, int], str]
WRITTEN: list[tuple[str, Write]] = [("http", compose_file), ("https", site_file)]


@needs_nginx
@pytest.mark.parametrize("write", [compose_file, site_file])
def test_nginx_takes_its_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(write(tmp_path, "http://127.0.0.1:8000", free_port()))
    command = ["nginx", "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr.replace('the "user" directive', "")


@contextmanager
def running(folder: Path, port: int) -> Iterator[None]:
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until("nginx", lambda: listens(port))
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@needs_nginx
@pytest.mark.parametrize(("scheme", "write"), WRITTEN)
def test_a_job_goes_through_nginx_and_the_figures_do_not(
    scheme: str, write: Write, house: House, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "nginx.conf").write_text(write(tmp_path, house.url, port))
    trusted = ssl.create_default_context()
    if scheme == "https":
        trusted.load_verify_locations(tmp_path / "fullchain.pem")
    with (
        running(tmp_path, port),
        httpx2.Client(
            base_url=f"{scheme}://127.0.0.1:{port}", verify=trusted, trust_env=False, timeout=PATIENCE
        ) as http,
    ):
        place = http.post("/erf", json=SMALL).headers["Location"]
        events = http.get(f"{place}/events").text  # a stream that nothing holds back, until the end of the job
        assert "event: end" in events
        assert http.get(place).json()["status"] == "succeeded"
        assert http.get("/metrics").status_code == 404
        assert http.get("/health/ready").status_code == 200
        refused = http.post("/erf", json={"model": {}})
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
