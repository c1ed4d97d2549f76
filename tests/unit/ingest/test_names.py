from __future__ import annotations

import time
from typing import Any

import pytest

import ingest.names
from ingest.batch import Batch, parse_batch
from ingest.names import _Cache as Cache
from ingest.names import _first_times as first_times
from ingest.names import _Told as Told
from tests.batches import Agent, job, row

NOW = float(int(time.time()))


def batch(**sections: Any) -> Batch:
    return parse_batch(Agent().batch(**sections), b"")


def test_the_cache_forgets_what_was_not_used_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.names, "CACHE_ENTRIES", 3)
    cache = Cache()
    for n, key in enumerate("abc"):
        cache.put(key, "told", n)
    assert cache.get("a", "told") == 0
    cache.put("d", "told", 3)
    assert [cache.get(key, "told") for key in "abcd"] == [0, None, 2, 3]


def test_the_cache_does_not_answer_when_something_new_is_told() -> None:
    cache = Cache()
    cache.put("a", "old", 1)
    assert cache.get("a", "new") is None
    assert cache.get("a", "old") == 1
    cache.put("a", "new", 1)
    assert cache.get("a", "old") is None
    cache.drop("a")
    cache.drop("never there")
    assert cache.get("a", "new") is None


def told(**sections: Any) -> Told:
    return Told.by(batch(**sections), "home")


def test_what_is_told_of_a_job_is_all_that_the_database_keeps() -> None:
    before = told(jobs=[job(started_at=NOW, cpus=4.0)])
    again = told(jobs=[job(started_at=NOW, cpus=4.0, gone_at=NOW)])
    assert again.job(again.batch.jobs[0]) == before.job(before.batch.jobs[0])
    changes: list[dict[str, Any]] = [{"user_name": "a"}, {"uid": 1}, {"cpus": 8.0}]
    changes += [{"name": "a"}, {"account": "a"}, {"partition": "a"}, {"array_task_id": "1"}]
    for news in (*changes, {"memory_bytes": 1}):
        after = told(jobs=[job(started_at=NOW, **{"cpus": 4.0, **news})])
        assert after.job(after.batch.jobs[0]) != before.job(before.batch.jobs[0])
    seen = told(jobs=[job(started_at=NOW, cpus=4.0, oom_killed=True)])
    assert seen.job(seen.batch.jobs[0]) != before.job(before.batch.jobs[0])
    # Not seeing a kill tells nothing.
    unseen = told(jobs=[job(started_at=NOW, cpus=4.0, oom_killed=False)])
    assert unseen.job(unseen.batch.jobs[0]) == before.job(before.batch.jobs[0])


def test_a_job_without_a_start_is_asked_for_again_an_hour_later() -> None:
    found = [
        told(jobs=[job(started_at=None)], job_sample=[row(at, job=0)])
        for at in (NOW - 7200, NOW - 3600, NOW)
    ]
    assert len({each.job(each.batch.jobs[0]) for each in found}) == 3


def test_first_times_are_those_of_the_oldest_row_or_the_end_or_now() -> None:
    jobs = [job(str(n), started_at=None) for n in range(4)]
    jobs[2]["gone_at"] = NOW - 500
    rows = [row(NOW - 10, job=0), row(NOW - 30, job=0), row(NOW - 20, job=1), row(NOW, job=2)]
    one = batch(jobs=jobs, job_sample=rows)
    found = first_times(one, list(enumerate(one.jobs)))
    assert [found[each] for each in one.jobs[:3]] == [NOW - 30, NOW - 20, NOW - 500]
    assert NOW <= found[one.jobs[3]] <= time.time()


def test_one_job_listed_twice_begins_with_the_oldest_of_both() -> None:
    jobs = [job("1", started_at=None), job("1", started_at=None)]
    for order in ((0, 1), (1, 0)):
        rows = [row(NOW - 10, job=order[0]), row(NOW - 30, job=order[1])]
        one = batch(jobs=jobs, job_sample=rows)
        assert first_times(one, list(enumerate(one.jobs))) == {one.jobs[0]: NOW - 30}


@pytest.mark.parametrize("wild", [float("inf"), -float("inf"), 1e300, 0.0, -5.0])
def test_first_times_are_of_this_age(wild: float) -> None:
    one = batch(jobs=[job(started_at=None)], job_sample=[row(wild, job=0)])
    [found] = first_times(one, list(enumerate(one.jobs))).values()
    assert time.time() - 367 * 86_400 < found <= time.time()


def test_many_jobs_and_rows_take_no_time() -> None:
    jobs = [job(str(n), started_at=None) for n in range(5_000)]
    rows = [row(NOW - n, job=n % 5_000) for n in range(20_000)]
    one = batch(jobs=jobs, job_sample=rows)
    started = time.perf_counter()
    assert len(Told.by(one, "home").first) == 5_000
    assert time.perf_counter() - started < 1
