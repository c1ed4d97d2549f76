"""GET /v1/jobs: filters, pages, bounds and bad parameters."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from query.cursor import RULE, Cursor, write_cursor
from query.jobs_api import MAX_TOTAL, SORTS
from tests.integration.query.conftest import Asker
from tests.integration.query.site import Site

CURSOR = write_cursor(Cursor("-key", 5, None))


def ids(answer: Any) -> list[str]:
    return [job["id"] for job in answer.json["jobs"]]


async def jobs(site: Site) -> None:
    """Five jobs of two users on three nodes, oldest first."""
    for job_id, user, state, nodes in (
        ("1", "alice", "completed", ["n1"]),
        ("2", "bob", "failed", ["n1", "n2"]),
        ("3", "alice", "running", ["n10"]),
        ("4", "alice", "pending", None),
        ("5", "bob", "running", ["n1"]),
    ):
        await site.job(job_id, user_name=user, state=state, nodes=nodes)


async def test_newest_first_with_a_total(site: Site, ask: Asker) -> None:
    await jobs(site)
    answer = await ask("/v1/jobs")
    assert ids(answer) == ["5", "4", "3", "2", "1"]
    assert {key: answer.json[key] for key in answer.json if key != "jobs"} == {
        "total": 5,
        "limit": 100,
        "offset": 0,
    }


async def test_no_jobs(ask: Asker) -> None:
    answer = await ask("/v1/jobs")
    assert answer.json == {"jobs": [], "total": 0, "limit": 100, "offset": 0}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=running", ["5", "3"]),
        ("state=unknown", []),
        ("user=alice", ["4", "3", "1"]),
        ("user=ali", []),
        ("node=n1", ["5", "2", "1"]),  # and not n10
        ("node=n2", ["2"]),
        ("user=bob&state=running&node=n1&cluster=alpha", ["5"]),
        ("cluster=beta", []),
        ("state=", ["5", "4", "3", "2", "1"]),
        ("limit=2", ["5", "4"]),
        ("limit=2&offset=2", ["3", "2"]),
        ("offset=9", []),
    ],
)
async def test_filters(site: Site, ask: Asker, query: str, found: list[str]) -> None:
    await jobs(site)
    answer = await ask(f"/v1/jobs?{query}")
    assert ids(answer) == found
    if "limit" not in query and "offset" not in query:
        assert answer.json["total"] == len(found)


async def ran(site: Site) -> None:
    """Jobs with all that can be filtered by; times in hours before now: started, ended."""
    told: list[tuple[float | None, float | None, dict[str, Any]]] = [
        (-10, -8, {"account": "a", "partition": "batch", "name": "x", "cluster": "beta"}),
        (-9, -2, {"account": "b", "partition": "batch", "name": "x", "user_name": "bob"}),
        (-5, -4, {"account": "a", "partition": "gpu", "name": "y", "scheduler": "pbs"}),
        (
            -1,
            None,
            {"account": "b", "partition": "gpu", "name": "long" * 99, "user_name": "carol"},
        ),
        (None, None, {"state": "pending", "user_name": None}),
    ]
    for n, (started, ended, more) in enumerate(told, 1):
        await site.job(
            str(n),
            **{"state": "completed" if ended else "running", **more},
            start_at=None if started is None else site.at(3600 * started),
            end_at=None if ended is None else site.at(3600 * ended),
        )


def hours(site: Site, query: str) -> str:
    """`@-5` is a time, in hours from now."""
    return re.sub(
        r"@(-?[\d.]+)",
        lambda match: site.at(3600 * float(match[1])).strftime("%Y-%m-%dT%H:%M:%SZ"),
        query,
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("account=a", ["1", "3"]),
        ("partition=gpu", ["3", "4"]),
        ("name=x", ["1", "2"]),
        ("name=long", []),
        ("scheduler=pbs", ["3"]),
        ("cluster=beta", ["1"]),
        ("account=a&partition=gpu", ["3"]),
        # Ran within: it began before the end and ended after the start, or runs.
        ("start_time=@-4.5&end_time=@-3", ["2", "3"]),
        ("start_time=@-7&end_time=@-6", ["2"]),
        ("start_time=@-8&end_time=@-8", ["1", "2"]),
        ("start_time=@-3", ["2", "4"]),
        ("end_time=@-9", ["1", "2"]),
        ("start_time=@5", ["4"]),
        ("start_time=@-20&end_time=@-11", []),
        ("started_after=@-9", ["2", "3", "4"]),
        ("started_before=@-9", ["1", "2"]),
        ("ended_after=@-4", ["2", "3"]),
        ("ended_before=@-4", ["1", "3"]),
        ("started_after=@-9&ended_before=@-3", ["3"]),
    ],
)
async def test_more_filters(site: Site, ask: Asker, query: str, found: list[str]) -> None:
    await ran(site)
    answer = await ask(f"/v1/jobs?sort=key&{hours(site, query)}")
    assert ids(answer) == found
    assert answer.json["total"] == len(found)


SORTED = {
    "key": ["1", "2", "3", "4", "5"],
    # What is not known counts as greater than all; equals are in the order of their keys.
    "start_time": ["1", "2", "3", "4", "5"],
    "end_time": ["1", "3", "2", "4", "5"],
    "user": ["1", "3", "2", "4", "5"],
    "account": ["1", "3", "2", "4", "5"],
    "partition": ["1", "2", "3", "4", "5"],
    "name": ["4", "1", "2", "3", "5"],
    "state": ["1", "2", "3", "5", "4"],
}


async def test_every_sort_in_both_directions_and_in_pages(site: Site, ask: Asker) -> None:
    assert set(SORTED) == set(SORTS)
    await ran(site)
    for name, ascending in SORTED.items():
        for sort, expected in ((name, ascending), (f"-{name}", ascending[::-1])):
            assert ids(await ask(f"/v1/jobs?sort={sort}")) == expected
            seen, query = list[str](), f"sort={sort}&limit=1"
            while query:
                answer = await ask(f"/v1/jobs?{query}")
                seen += ids(answer)
                cursor = answer.json.get("next_cursor")
                query = f"sort={sort}&limit=1&cursor={cursor}" if cursor else ""
            assert seen == expected, sort


async def test_a_cursor_belongs_to_its_sort(site: Site, ask: Asker) -> None:
    await ran(site)
    cursor = (await ask("/v1/jobs?sort=user&limit=1")).json["next_cursor"]
    for sort in ("-user", "name", "start_time"):
        answer = await ask(f"/v1/jobs?sort={sort}&cursor={cursor}")
        assert (answer.status, answer.json["details"]["parameter"]) == (400, "cursor")


async def test_only_the_fields_that_are_asked_for(site: Site, ask: Asker) -> None:
    await ran(site)
    answer = await ask("/v1/jobs?fields=user,id,state&sort=key&limit=5")
    assert answer.json["jobs"][0] == {"id": "1", "user": "alice", "state": "completed"}
    # What is not known is left out here, too.
    assert answer.json["jobs"][4] == {"id": "5", "state": "pending"}
    answer = await ask("/v1/jobs/3?fields=id,per_node")
    assert answer.json == {"id": "3", "per_node": []}
    for path in ("/v1/jobs?fields=id,usr", "/v1/jobs?fields=per_node", "/v1/jobs/3?fields=,"):
        answer = await ask(path)
        assert (answer.status, answer.json["details"]["parameter"]) == (400, "fields")


async def test_a_name_that_tries_to_be_sql_is_a_name(site: Site, ask: Asker) -> None:
    name = "x' or true --%\\"
    await site.job("1", name=name, user_name=name, nodes=[name])
    await site.job("2", name="y")
    for field in ("name", "user", "node"):
        assert ids(await ask(f"/v1/jobs?{field}={quote(name)}")) == ["1"]
    cursor = (await ask("/v1/jobs?sort=name&limit=1")).json["next_cursor"]
    assert ids(await ask(f"/v1/jobs?sort=name&cursor={cursor}")) == ["2"]


async def test_a_node_that_only_the_agent_told_of(site: Site, ask: Asker) -> None:
    node = await site.node("n7")
    await site.job_node(await site.job("7", nodes=None), node)
    assert ids(await ask("/v1/jobs?node=n7")) == ["7"]


async def test_pages_follow_each_other_though_new_jobs_come(site: Site, ask: Asker) -> None:
    await jobs(site)
    first = await ask("/v1/jobs?limit=2")
    await site.job("6")
    second = await ask(f"/v1/jobs?limit=2&cursor={first.json['next_cursor']}")
    third = await ask(f"/v1/jobs?limit=2&cursor={second.json['next_cursor']}")
    assert ids(first) + ids(second) + ids(third) == ["5", "4", "3", "2", "1"]
    assert "next_cursor" not in third.json
    assert second.json["total"] == 6


async def test_a_total_beyond_the_limit_is_a_lower_bound(site: Site, ask: Asker) -> None:
    await site.store.execute(
        "insert into tsobs_store.job (cluster, scheduler, job_id, first_seen_at)"
        f" select 'alpha', 'slurm', n::text, now() from generate_series(1, {MAX_TOTAL}) n"
    )
    answer = await ask("/v1/jobs?limit=1")
    assert answer.json["total"] == MAX_TOTAL
    assert "total_is_lower_bound" not in answer.json
    await site.job("more")
    answer = await ask("/v1/jobs?limit=1")
    assert answer.json["total"] == MAX_TOTAL
    assert answer.json["total_is_lower_bound"] is True


@pytest.mark.parametrize(
    ("query", "parameter", "rule"),
    [
        ("limit=0", "limit", "must be a whole number from 1 to 1000"),
        ("limit=1001", "limit", "must be a whole number from 1 to 1000"),
        ("limit=x", "limit", "must be a whole number from 1 to 1000"),
        ("offset=-1", "offset", "must be a whole number from 0 to 9007199254740992"),
        ("cursor=abc", "cursor", RULE),
        (f"cursor={CURSOR}&offset=1", "offset", "must not come with cursor"),
        ("user=%00", "user", "must be 1 to 255 printable characters"),
        ("user=a&user=b", "user", "one value"),
    ],
)
async def test_a_bad_parameter_is_named_with_its_rule(
    ask: Asker, query: str, parameter: str, rule: str
) -> None:
    answer = await ask(f"/v1/jobs?{query}")
    assert answer.status == 400
    assert answer.json["error"] == "invalid_request"
    assert answer.json["details"] == {"parameter": parameter, "rule": rule}
    assert parameter in answer.json["message"]


async def test_states_and_parameters_that_do_not_exist(ask: Asker) -> None:
    answer = await ask("/v1/jobs?state=done")
    assert answer.status == 400
    assert "pending, running, completed, failed, cancelled, unknown" in answer.json["message"]
    assert (await ask("/v1/jobs?usr=alice")).json["details"]["parameter"] == "usr"
    assert (await ask("/v1/jobs/1?limit=1")).status == 400


async def test_a_deleted_job_is_not_there(site: Site, ask: Asker) -> None:
    await site.job("9", deleted_at=site.now)
    assert (await ask("/v1/jobs")).json["total"] == 0
    answer = await ask("/v1/jobs/9")
    assert (answer.status, answer.json["error"]) == (404, "not_found")
    assert answer.json["message"] == "Job not found"


async def test_a_viewer_bound_to_a_user(
    site: Site, ask_as: Callable[..., Awaitable[Asker]]
) -> None:
    await jobs(site)
    alice = await ask_as(user="alice")
    answer = await alice("/v1/jobs")
    assert (ids(answer), answer.json["total"]) == (["4", "3", "1"], 3)
    assert ids(await alice("/v1/jobs?user=bob")) == []
    assert (await alice("/v1/jobs/1")).status == 200
    for path in ("/v1/jobs/2", "/v1/jobs/alpha:2.r0.0", "/v1/jobs/2/metrics"):
        answer = await alice(path)
        assert (answer.status, answer.json["message"]) == (404, "Job not found")


async def test_a_viewer_bound_to_a_cluster(
    site: Site, ask_as: Callable[..., Awaitable[Asker]]
) -> None:
    await site.job("1")
    await site.job("2", cluster="beta")
    reader = await ask_as(cluster="beta")
    assert ids(await reader("/v1/jobs")) == ["2"]
    assert ids(await reader("/v1/jobs?cluster=alpha")) == []
    assert (await reader("/v1/jobs/1")).status == 404
