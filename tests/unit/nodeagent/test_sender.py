"""The sender: patience, order, and what is said about trouble."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.outbox import Outbox
from nodeagent.push import Answer, Client, Verdict
from nodeagent.sender import Backoff, Sender
from nodeagent.spool import Spool
from nodeagent.state import StateFile
from tests.unit.nodeagent.test_outbox import ME, content, make, sent

LATER = Answer(Verdict.LATER, "503", {})


@given(st.integers(0, 30), st.integers())
def test_the_wait_grows_to_a_bound_with_full_jitter(failures: int, seed: int) -> None:
    backoff = Backoff(random.Random(seed))
    for _ in range(failures):
        backoff.wait_s(LATER)
    assert 0.1 <= backoff.wait_s(LATER) <= min(60, 2**failures)
    backoff.succeed()
    assert backoff.wait_s(LATER) <= 1


@given(st.floats(0, 300), st.integers())
def test_the_service_may_ask_to_wait(retry_after_s: float, seed: int) -> None:
    wait = Backoff(random.Random(seed)).wait_s(LATER._replace(retry_after_s=retry_after_s))
    assert retry_after_s < wait <= retry_after_s + max(1, retry_after_s)


def test_denied_waits_longer_from_the_start() -> None:
    waits = [Backoff(random.Random(n)).wait_s(LATER._replace(denied=True)) for n in range(50)]
    assert max(waits) > 30


class Script(Client):
    """A client that answers from a list and notes what it was given."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__("http://x", token_file=None, ca_file=None, timeout_s=1, agent="t")
        self.answers = list(answers)
        self.posted: list[dict[str, Any]] = []
        self.forgotten = 0

    def post(self, body: bytes) -> Answer:
        self.posted.append(json.loads(body))
        return self.answers.pop(0) if self.answers else stored()

    def forget_token(self) -> None:
        self.forgotten += 1


def stored(**more: Any) -> Answer:
    return Answer(Verdict.STORED, "accepted", {"status": "accepted", **more})


def send(outbox: Outbox, *answers: Answer) -> tuple[Script, list[float]]:
    client = Script(*answers)
    sender = Sender(outbox, client)
    waits = []
    for _ in answers:
        item = outbox.head()
        assert item is not None
        waits.append(sender.send_one(item))
    return client, waits


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    outbox = make(tmp_path)
    outbox.commit({}, [content(1), content(2)], ME)
    return outbox


def test_a_stored_batch_is_forgotten_and_the_next_goes_at_once(outbox: Outbox) -> None:
    client, waits = send(outbox, stored(), stored())
    assert [document["n"] for document in client.posted] == [1, 2]
    assert waits == [0.0, 0.0]
    assert len(outbox) == 0


def test_a_batch_not_stored_is_sent_again_before_the_next(outbox: Outbox) -> None:
    client, waits = send(outbox, LATER, stored(), stored())
    assert [document["n"] for document in client.posted] == [1, 1, 2]
    assert client.posted[0] == client.posted[1]
    assert waits[0] > 0


def test_a_refused_batch_is_put_aside(outbox: Outbox) -> None:
    _, waits = send(outbox, Answer(Verdict.REFUSED, "400 ragged", {}), stored())
    assert waits == [0.0, 0.0]
    assert outbox.refused == 1


def test_a_conflict_goes_on_under_a_new_stream_after_a_wait(outbox: Outbox) -> None:
    conflict = Answer(Verdict.CONFLICT, "409", {})
    client, waits = send(outbox, conflict, stored(), stored())
    streams = [document["stream"] for document in client.posted]
    assert streams[0] != streams[1] == streams[2]
    assert [document["seq"] for document in client.posted] == [1, 1, 2]
    assert waits[0] > 0


def test_a_wrong_token_is_read_anew_and_said_once(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = send(outbox, *[LATER._replace(denied=True)] * 3)
    assert client.forgotten == 3
    assert caplog.text.count("does not accept the token") == 1


def test_a_clock_that_is_off_is_told(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    send(outbox, stored(time=time.time() + 10))
    assert not caplog.records
    send(outbox, stored(time=time.time() + 90))
    assert "clock differs from the service's by -90 s" in caplog.text
    assert outbox.clock_offset_s == pytest.approx(90, abs=1)


def test_rows_left_out_and_columns_unknown_are_told(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    rejected = [{"table": "job_sample", "row": 0, "field": "time", "rule": "too_old"}]
    send(outbox, stored(rejected=rejected, rejected_count=1, ignored=["job_sample.new"]))
    assert "too_old" in caplog.text
    assert "does not know job_sample.new" in caplog.text


def test_a_damaged_copy_on_disk_makes_way(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    for n in range(10):
        outbox.commit({}, [content(n)], ME)
    first = Spool(tmp_path).files()[0]
    (path,) = (tmp_path / "spool").glob(f"{first.stream}-*1.json.gz")
    path.write_bytes(b"rubbish")
    _, waits = send(outbox, stored())
    assert waits == [0.0]
    assert [n for _, _, n in sent(outbox)] == list(range(1, 10))


def test_a_copy_on_disk_that_is_gone_makes_way(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    for n in range(10):
        outbox.commit({}, [content(n)], ME)
    for path in (tmp_path / "spool").iterdir():
        path.unlink()
    _, waits = send(outbox, stored(), stored())
    assert waits == [0.0, 0.0]
    assert [n for _, _, n in sent(outbox)] == list(range(2, 10))


def test_the_thread_sends_drains_and_stops(tmp_path: Path) -> None:
    outbox = Outbox(StateFile(tmp_path), Spool(tmp_path), 2**20)
    outbox.open()
    client = Script()
    sender = Sender(outbox, client)
    sender.start()
    for n in range(5):
        outbox.commit({}, [content(n)], ME)
    assert sender.drain(5.0)
    assert sender.drain(5.0)
    assert [document["n"] for document in client.posted] == list(range(5))


def test_draining_ends_in_time_when_nobody_answers(outbox: Outbox) -> None:
    sender = Sender(outbox, Script(*[LATER] * 1000))
    sender.start()
    start = time.monotonic()
    assert not sender.drain(0.3)
    assert time.monotonic() - start < 2
    assert len(outbox) == 2


def test_the_moment_of_sending_is_spread(outbox: Outbox) -> None:
    """Within the first part of an interval the sender waits, unless something is urgent."""
    client = Script()
    interval_s = 1000.0 + time.time()  # the grid's last point is long past or just now
    sender = Sender(outbox, client, interval_s=interval_s, splay_s=interval_s)
    sender.start()
    time.sleep(0.2)
    assert client.posted == []
    outbox.hasten()
    deadline = time.monotonic() + 5
    while len(outbox) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(client.posted) == 2
    outbox.commit({}, [content(3)], ME)
    time.sleep(0.2)
    assert len(client.posted) == 2
    assert sender.drain(5.0)
    assert len(client.posted) == 3
