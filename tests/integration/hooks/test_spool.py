"""The spool: bounded, private, sent by whichever hook comes next, each event with its own times."""

from __future__ import annotations

import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.hooks.receiving import Receiver
from tests.integration.hooks.running import Hooks

EVENT = '{{"job_id":"{}","user":"u","node_list":["n"],"timestamp":"2026-01-01T00:00:00Z"}}'


def put(hooks: Hooks, name: str, text: str | None = None) -> Path:
    hooks.spool.mkdir(exist_ok=True)
    path = hooks.spool / name
    path.write_text(EVENT.format(name) if text is None else text)
    return path


def names(hooks: Hooks) -> list[str]:
    return sorted(path.name for path in hooks.spool.iterdir())


def test_a_file_is_one_private_event(hooks: Hooks, job: dict[str, str]) -> None:
    before = int(time.time())
    hooks.told("prolog", job)
    hooks.told("epilog", job)
    assert stat.S_IMODE(hooks.spool.stat().st_mode) == 0o700
    for path, kind in zip(hooks.waiting(), ("job-started", "job-finished"), strict=True):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        when, job_id, rest = path.name.split("-", 2)
        assert before <= int(when) <= time.time()
        assert job_id == "77"
        assert rest.endswith(f".{kind}.json")


def test_the_oldest_goes_first_and_keeps_its_times(
    hooks: Hooks, receiver: Receiver, job: dict[str, str]
) -> None:
    first = hooks.told("prolog", job)
    time.sleep(1.1)
    second = hooks.told("epilog", job)
    time.sleep(1.1)
    assert hooks.run("prolog", job | {"SLURM_JOB_ID": "78"}, URL=receiver.url).status == 0
    new, *old = receiver.events
    assert new[1]["job_id"] == "78"
    assert old == [("/v1/events/job-started", first), ("/v1/events/job-finished", second)]
    assert first["timestamp"] < second["timestamp"] < new[1]["timestamp"]
    assert names(hooks) == []


def test_names_of_others_are_left(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    left = ["1-1-a.job-started.json.tmp", "1-1-b.job-finished.json.sending", "README", "x.json"]
    for name in left:
        put(hooks, name)
    assert hooks.run("epilog", job, URL=receiver.url).status == 0
    assert len(receiver.events) == 1
    assert names(hooks) == sorted(left)


def test_a_claim_of_a_minute_ago_is_anybodys(
    hooks: Hooks, receiver: Receiver, job: dict[str, str]
) -> None:
    path = put(hooks, "1-1-a.job-started.json.sending")
    put(hooks, "1-1-b.job-started.json.sending")
    # By when it was renamed, which cannot be set: a stat that is 61 s ahead for the one.
    hooks.program(
        "stat",
        '#!/bin/bash\nchanged=$(/usr/bin/stat "$@")\n'
        'case "$*" in *%Z*1-1-a*) echo $((changed - 61)) ;; *) echo "$changed" ;; esac\n',
    )
    assert hooks.run("epilog", job, URL=receiver.url).status == 0
    assert not path.exists()
    assert receiver.kinds() == ["job-finished", "job-started"]
    assert names(hooks) == ["1-1-b.job-started.json.sending"]


def test_at_most_twenty_in_one_run(hooks: Hooks, receiver: Receiver, job: dict[str, str]) -> None:
    for n in range(30):
        put(hooks, f"{1_700_000_000 + n}-1-x.job-started.json", EVENT.format(n))
    assert hooks.run("epilog", job, URL=receiver.url).took_s < 5
    ids = [event["job_id"] for _, event in receiver.events]
    assert ids == ["77", *map(str, range(len(ids) - 1))]
    assert 1 <= len(ids) - 1 <= 20
    assert len(hooks.waiting()) == 30 - (len(ids) - 1)


def test_a_slow_server_does_not_hold_the_hook(
    hooks: Hooks, receiver: Receiver, job: dict[str, str]
) -> None:
    for n in range(10):
        put(hooks, f"{1_700_000_000 + n}-1-x.job-started.json")
    receiver.delay_s = 0.9
    assert hooks.run("epilog", job, URL=receiver.url).took_s < 5
    assert 1 <= len(receiver.events) <= 6
    assert not list(hooks.spool.glob("*.sending"))


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_never_will_be_taken_is_put_aside(
    hooks: Hooks, receiver: Receiver, job: dict[str, str], status: int
) -> None:
    put(hooks, "1700000000-1-x.job-started.json")
    receiver.answer = (status, '{"error":"validation_error","message":"user is \\u00fcber"}')
    for _ in range(2):
        assert hooks.run("prolog", job, URL=receiver.url).status == 0
    # Its own twice, the other once.
    assert len(receiver.events) == 3
    assert names(hooks) == ["refused"]
    assert len(list((hooks.spool / "refused").iterdir())) == 3
    assert "refused, and not sent again" in hooks.logged()


def test_what_was_put_aside_is_bounded(
    hooks: Hooks, receiver: Receiver, job: dict[str, str]
) -> None:
    refused = hooks.spool / "refused"
    refused.mkdir(parents=True)
    for n in range(150):
        (refused / f"{n:03}.job-started.json").touch()
    receiver.answer = (400, '{"error":"validation_error","message":"no"}')
    hooks.run("prolog", job, URL=receiver.url)
    kept = sorted(path.name for path in refused.iterdir())
    assert len(kept) == 100
    assert kept[0] == "051.job-started.json"


def test_the_spool_is_bounded(hooks: Hooks, job: dict[str, str]) -> None:
    for n in range(2_005):
        put(hooks, f"{1_000_000_000 + n}-1-x.job-started.json")
    assert hooks.run("prolog", job).took_s < 5
    left = names(hooks)
    assert len(left) == 2_000
    assert left[0].startswith("1000000006-")
    assert "6 oldest events are LOST" in hooks.logged()


def test_the_spool_is_bounded_in_bytes(hooks: Hooks, job: dict[str, str]) -> None:
    for n in range(101):
        path = put(hooks, f"{1_000_000_000 + n}-1-x.job-started.json")
        os.truncate(path, 1 << 20)
    hooks.run("prolog", job)
    left = names(hooks)
    assert len(left) == 64
    assert left[-1].startswith(str(int(time.time()))[:6])


def test_many_hooks_at_once_send_each_event_once(
    hooks: Hooks, receiver: Receiver, job: dict[str, str]
) -> None:
    for n in range(40):
        put(hooks, f"{1_700_000_000 + n}-1-x.job-started.json", EVENT.format(f"old{n}"))
    with ThreadPoolExecutor(8) as pool:
        ran = pool.map(
            lambda n: hooks.run("epilog", job | {"SLURM_JOB_ID": str(n)}, URL=receiver.url),
            range(100, 116),
        )
        assert {run.status for run in ran} == {0}
    for n in range(200, 210):
        if hooks.waiting():
            hooks.run("epilog", job | {"SLURM_JOB_ID": str(n)}, URL=receiver.url)
    ids = [event["job_id"] for _, event in receiver.events]
    assert len(set(ids)) == len(ids)
    assert {f"old{n}" for n in range(40)} <= set(ids)
    assert names(hooks) == []


def test_nodes_far_down_the_list_leave_it_to_their_agents(
    hooks: Hooks, receiver: Receiver, job: dict[str, str]
) -> None:
    big = job | {"SLURM_NODELIST": "n[1-5000]"}
    for name in ("n1", "n32"):
        hooks.run("prolog", big | {"SLURMD_NODENAME": name}, URL=receiver.url)
    assert [event["node"] for _, event in receiver.events] == ["n1", "n32"]
    told = hooks.told("prolog", big | {"SLURMD_NODENAME": "n33"}, URL="http://127.0.0.1:1")
    assert told["node_list"] == ["n33"]
    assert "waits in the spool: this job has many nodes" in hooks.logged()
    assert len(receiver.events) == 2
    # The next hook of a smaller job sends it.
    hooks.run("epilog", job, URL=receiver.url)
    assert [json.dumps(told)] == [json.dumps(event) for _, event in receiver.events[3:]]


def test_notes_of_jobs_that_never_ended_go(hooks: Hooks, job: dict[str, str]) -> None:
    hooks.state.mkdir()
    now = int(time.time())
    old, recent = f"5@n1-{now - 91 * 86400}-0", f"6@n1-{now - 80 * 86400}-"
    for name in (old, recent, f"77@n1-{now - 500}-3", "other", f"177@n1-{now}-0", f"77@n2-{now}-0"):
        (hooks.state / name).touch()
    started = hooks.told("prolog", job)
    left = sorted(path.name for path in hooks.state.iterdir())
    assert len(left) == 5
    others = {recent, "other", f"177@n1-{now}-0", f"77@n2-{now}-0"}
    assert others < set(left)
    assert hooks.told("epilog", job)["start_time"] == started["start_time"]
    assert {path.name for path in hooks.state.iterdir()} == {
        recent,
        "other",
        f"177@n1-{now}-0",
        f"77@n2-{now}-0",
    }
