"""GET /v1/jobs/{id}/events: what it tells, and its pages."""

from __future__ import annotations

from tests.integration.query.conftest import Asker
from tests.integration.query.site import Site


async def events(site: Site, job_key: int, count: int) -> None:
    for n in range(count):
        await site.put(
            "job_event",
            job_key=job_key,
            kind="updated",
            actor=f"actor-{n}",
            source="tests",
            correlation_id=None if n else "abc",
            rank=4,
            payload='{"state": "failed", "huge": 123456789012345678901234567890}',
            old='{"state": "running"}' if n else None,
            new='{"state": "failed"}',
        )


async def test_oldest_first_with_old_and_new(site: Site, ask: Asker) -> None:
    key = await site.job("1")
    await events(site, key, 2)
    await events(site, await site.job("2"), 1)
    answer = await ask("/v1/jobs/1/events")
    told = {name: answer.json[name] for name in ("job_id", "key", "cluster", "total", "limit")}
    assert told == {"job_id": "1", "key": key, "cluster": "alpha", "total": 2, "limit": 100}
    first, second = answer.json["events"]
    assert [each["changed_by"] for each in (first, second)] == ["actor-0", "actor-1"]
    assert (first["kind"], first["source"], first["rank"]) == ("updated", "tests", 4)
    assert first["correlation_id"] == "abc"
    assert "old" not in first
    assert "correlation_id" not in second
    assert (second["old"], second["new"]) == ({"state": "running"}, {"state": "failed"})
    # As it was received, digit by digit.
    assert "123456789012345678901234567890" in answer.text


async def test_pages(site: Site, ask: Asker) -> None:
    await events(site, await site.job("1"), 5)
    seen, pages, query = [], 0, "limit=2"
    while query:
        answer = await ask(f"/v1/jobs/1/events?{query}")
        seen += [each["changed_by"] for each in answer.json["events"]]
        assert answer.json["total"] == 5
        cursor, pages = answer.json.get("next_cursor"), pages + 1
        query = f"limit=2&cursor={cursor}" if cursor else ""
    assert seen == [f"actor-{n}" for n in range(5)]
    assert pages == 3


async def test_refusals(site: Site, ask: Asker) -> None:
    await site.job("1")
    assert (await ask("/v1/jobs/1/events")).json["events"] == []
    assert (await ask("/v1/jobs/2/events")).status == 404
    for query, parameter in (("limit=0", "limit"), ("cursor=x", "cursor"), ("kind=x", "kind")):
        answer = await ask(f"/v1/jobs/1/events?{query}")
        assert (answer.status, answer.json["details"]["parameter"]) == (400, parameter)
