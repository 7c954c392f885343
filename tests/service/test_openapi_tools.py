"""The OpenAPI document under the tools of others: a validator, two generators of clients, and a call by each client."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.house.conftest import ROOT
from tests.service.conftest import a_spec

GUIDE = (ROOT / "docs/howto/clients.md").read_text("utf-8")
NODE_TOOLS = ROOT / "build/node"  # where `.ci/run` installs them
PATIENCE = 300  # seconds after which a generator hangs
PYTHON_CALL = """
import json, sys
from generated import Client
from generated.api.erf import get_erf, submit_erf
from generated.api.files import upload_file
from generated.models import ErfRequest
from generated.types import File

client = Client(sys.argv[1])
job = submit_erf.sync(client=client, body=ErfRequest.from_dict(json.loads(sys.argv[2])))
again = get_erf.sync(job.id, client=client)
image = upload_file.sync(client=client, body=File(payload=open(sys.argv[3], "rb"), file_name="one.png"))
print(json.dumps({"id": job.id, "again": again.id, "status": job.status, "image": image.sha256}))
"""
TYPESCRIPT_CALL = """
import type { components, operations } from "./erfscope";

type Job = operations["get_erf"]["responses"][200]["content"]["application/json"];
const [url, text] = process.argv.slice(2);
const request: components["schemas"]["ErfRequest"] = JSON.parse(text);
const answer = await fetch(`${url}/erf`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(request),
});
const job: components["schemas"]["Job"] = await answer.json();
const again: Job = await (await fetch(`${url}${job.links.self}`)).json();
console.log(JSON.stringify({ id: job.id, again: again.id, status: job.status }));
"""


@pytest.fixture(scope="module")
def document(base_url: str) -> dict[str, Any]:
    """What the running service sends."""
    whole: dict[str, Any] = httpx2.get(f"{base_url}/openapi.json").json()
    return whole


@pytest.fixture
def file(document: dict[str, Any], tmp_path: Path) -> Path:
    """The document as a file."""
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    return path


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def run(*command: str | Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_the_validator_sees_what_is_wrong(document: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(document))
    broken["paths"]["/erf"]["post"]["responses"]["202"]["content"]["application/json"]["itemSchema"] = {}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_it_says_where_the_service_is(document: dict[str, Any]) -> None:
    assert [server["url"] for server in document["servers"]] == ["/"]


def test_operations_have_names_to_call_them_by(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(document)]
    assert len(names) == len(set(names))
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []
    assert {"submit_erf", "get_erf", "cancel_erf", "get_erf_heatmap", "submit_series", "get_advice"} <= set(names)


def test_a_schema_has_one_plain_name(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    titles = Counter(schema.get("title", name) for name, schema in schemas.items())
    assert [title for title, times in titles.items() if times > 1] == []
    assert [name for name in schemas if not re.fullmatch(r"[A-Z][A-Za-z]+", name)] == []


def test_a_python_client(file: Path, base_url: str, tmp_path: Path) -> None:
    (settings,) = re.findall(r'```yaml title="(?:openapi-python-client.yml)"\n(.*?)```', GUIDE, re.DOTALL)
    (tmp_path / "settings.yml").write_text(settings)
    options = ("--config", "settings.yml", "--meta", "none", "--output-path", "generated")
    made = run("openapi-python-client", "generate", "--path", file, *options, folder=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    assert (made.stdout + made.stderr).split() == ["Generating", "generated"], "the generator has complaints"
    (tmp_path / "one.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    request = json.dumps(a_spec(name="by a generated client"))
    done = run(sys.executable, "-c", PYTHON_CALL, base_url, request, tmp_path / "one.png", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["again"] == answer["id"]
    assert answer["status"] in ("queued", "running", "succeeded")
    assert len(answer["image"]) == 64


def test_a_typescript_client(file: Path, base_url: str, tmp_path: Path) -> None:
    tools = NODE_TOOLS / "node_modules/.bin"
    if not (shutil.which("node") and (tools / "openapi-typescript").exists()):
        pytest.skip(
            "openapi-typescript is not installed: npm install --prefix build/node openapi-typescript typescript"
        )
    made = run(tools / "openapi-typescript", file, "-o", "erfscope.d.ts", folder=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warn" not in (made.stdout + made.stderr).lower()
    (tmp_path / "call.mts").write_text(TYPESCRIPT_CALL.replace('"./erfscope"', '"./erfscope.js"'))
    (tmp_path / "node.d.ts").write_text("declare const process: { argv: string[] };\n")
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "false")
    checked = run(tools / "tsc", *options, "call.mts", "node.d.ts", folder=tmp_path)
    assert checked.returncode == 0, checked.stdout
    done = run("node", "call.mjs", base_url, json.dumps(a_spec(name="by TypeScript")), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["again"] == answer["id"]
    assert answer["status"] in ("queued", "running", "succeeded")
