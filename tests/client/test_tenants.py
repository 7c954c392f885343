"""`erfscope tenants` as administrators call it, on a real Valkey."""

import json

from erfscope_jobs.ledger import Ledger
from erfscope_jobs.records import Kind, Submission
from erfscope_jobs.settings import Settings

from .test_keys import Run, redis_url, run

__all__ = ["redis_url", "run"]  # fixtures


def test_a_tenant_is_listed_and_deleted(run: Run, redis_url: str) -> None:
    at = ("--redis-url", redis_url)
    assert run("tenants", "list", *at)[1].strip() == "no tenants"
    for name, tenant in (("laptop", "ann"), ("ci", "ann"), ("ben", "ben")):
        run("keys", "create", name, "--tenant", tenant, *at)
    with Ledger(Settings(redis_url=redis_url)) as ledger:
        ledger.submit(Submission(Kind.ERF, "ann", "{}", "0" * 64))
    rows = json.loads(run("tenants", "list", "--json", *at)[1])
    assert [(row["tenant"], row["keys"], row["jobs"], row["open_jobs"], row["used"]) for row in rows] == [
        ("ann", 2, 1, 1, None),
        ("ben", 1, 0, 0, None),
    ]
    table = run("tenants", "list", *at)[1]
    assert "model_bytes" in table
    assert "never" in table
    code, out, said = run("tenants", "delete", "ann", "--yes", *at)
    assert (code, out) == (0, "Tenant ann is deleted (jobs of /erf: 1, keys: 2).\n")
    for words in ("at the latest 192 h after their last use", "copies in backups", "starts empty"):
        assert words in said
    assert [row["tenant"] for row in json.loads(run("tenants", "list", "--json", *at)[1])] == ["ben"]
    assert [row["tenant"] for row in json.loads(run("keys", "list", "--json", *at)[1])] == ["ben"]
    code, _, said = run("tenants", "delete", "ann", "--yes", *at)
    assert (code, "there is no tenant 'ann'" in said) == (2, True)


def test_a_deletion_that_nobody_confirms_deletes_nothing(run: Run, redis_url: str) -> None:
    run("keys", "create", "eve", "--redis-url", redis_url)
    code, _, said = run("tenants", "delete", "eve", "--redis-url", redis_url)  # stdin has no answer
    assert code != 0
    assert "Delete the tenant eve (keys: 1, jobs: 0) with all its files?" in said
    assert "eve" in run("keys", "list", "--redis-url", redis_url)[1]
