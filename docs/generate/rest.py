"""reference/rest.md: every call of the service, from its OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from docs.generate.schemas import document, kind, link
from docs.generate.table import joined, prose, table
from erfscope_contract.problem import KINDS

HEAD = """# REST API

The service says the same of itself at `/docs` (a page) and `/openapi.json` (for generators). A service that wants
an API key takes it as `Authorization: Bearer …`. Every error is `application/problem+json` with a `type` from the table
at the end, a `detail` for people, and, for fields, `errors` with a pointer to each."""
ERRORS = """A `type` is also an address: `GET /problems/invalid-target` answers with its row of this table. A failed job
is a 200 whose `error` is such a problem. The command line ends with exit code 2 if the request or the model is at
fault, with exit code 3 if it is the service."""
COLUMNS = ("type", "status", "meaning", "whose fault", "what to do")
Part = Mapping[str, Any]


def rest() -> str:
    """The page, one section for each tag."""
    sections = [_tag(tag) for tag in document()["tags"]]
    return joined([HEAD, *sections, "## Errors", ERRORS, table(COLUMNS, map(_kind, KINDS))])


def _kind(kind: str) -> tuple[str, str, str, str, str]:
    row = KINDS[kind]
    return f"`/problems/{kind}`", str(row.status), row.title, row.fault, prose(row.hint)


def _tag(tag: Part) -> str:
    calls = [
        (method, path, call)
        for path, methods in document()["paths"].items()
        for method, call in methods.items()
        if tag["name"] in call["tags"]
    ]
    return joined([f"## {tag['name']}", tag["description"], *(_call(*one) for one in calls)])


def _call(method: str, path: str, call: Part) -> str:
    return joined([
        f"### {method.upper()} {path}",
        prose(call.get("summary", "")) + ".",
        prose(call.get("description", "")),
        table(("parameter", "in", "type", "meaning"), map(_parameter, call.get("parameters", ()))),
        _body(call.get("requestBody", {})),
        _parts(call.get("requestBody", {})),
        table(("answer", "body", "meaning"), (_answer(*one) for one in call["responses"].items() if one[0] < "4")),
        "Errors: " + ", ".join(status for status in sorted(call["responses"]) if "4" <= status[0] <= "5") + ".",
    ])  # fmt: skip


def _parameter(one: Part) -> tuple[str, str, str, str]:
    return f"`{one['name']}`", one["in"], kind(one["schema"], ""), prose(one.get("description", ""))


def _body(body: Part) -> str:
    found = [f"`{media}`{_schema(part)}" for media, part in body.get("content", {}).items()]
    return joined([f"Body: {', '.join(found)}.", prose(body.get("description", ""))]) if found else ""


def _parts(body: Part) -> str:
    """The parts of a form, where the call takes one."""
    form = body.get("content", {}).get("multipart/form-data", {}).get("schema", {})
    required = form.get("required", ())
    rows = [
        (f"`{name}`", "required" if name in required else "", prose(part.get("description", "")) or _named(part))
        for name, part in form.get("properties", {}).items()
    ]
    return table(("part of the form", "", "meaning"), rows)


def _schema(part: Part) -> str:
    named = _named(part.get("schema", {}))
    return f" ({named})" if named else ""


def _named(schema: Part) -> str:
    reference = schema.get("$ref", "")
    return link(reference.rpartition("/")[2]) if reference else ""


def _answer(status: str, answer: Part) -> tuple[str, str, str]:
    bodies = [f"`{media}`{_schema(part)}" for media, part in answer.get("content", {}).items()]
    return status, ", ".join(bodies), prose(answer.get("description", ""))
