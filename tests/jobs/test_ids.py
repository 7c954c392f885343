"""Ids of jobs."""

from erfscope_jobs.records import new_id


def test_no_id_looks_like_an_option() -> None:
    ids = [new_id() for _ in range(5_000)]  # one in 64 would, as they are drawn
    assert not [id for id in ids if id.startswith("-")]
    assert len(set(ids)) == len(ids)
    assert {len(id) for id in ids} == {22}
