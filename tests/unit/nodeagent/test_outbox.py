"""The outbox: counters and batches in one write, nothing lost, nothing under two numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nodeagent.outbox import Outbox
from nodeagent.spool import Spool
from nodeagent.state import StateFile

ME = ("machine", "n1")


def make(folder: Path, limit: int = 2**28) -> Outbox:
    outbox = Outbox(StateFile(folder), Spool(folder), limit)
    outbox.open()
    return outbox


def content(n: int, speaks_as: tuple[str, str] = ME) -> bytes:
    machine, node = speaks_as
    return json.dumps({"machine_id": machine, "node": {"name": node}, "n": n}).encode()


def sent(outbox: Outbox) -> list[tuple[str, int, int]]:
    """Return (stream, seq, n) of what would be sent, in order."""
    found = []
    for item in list(outbox._pending.values()):
        document = json.loads(outbox.body(item))
        found.append((document["stream"], document["seq"], document["n"]))
    return found


def test_batches_are_numbered_and_handed_out_in_order(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    assert outbox.head() is None
    for n in range(3):
        assert outbox.commit({"round": n}, [content(n)], ME)
    streams = {stream for stream, _, _ in sent(outbox)}
    assert len(streams) == 1
    assert [(seq, n) for _, seq, n in sent(outbox)] == [(1, 0), (2, 1), (3, 2)]
    item = outbox.head()
    assert item is not None
    outbox.acknowledge(item)
    assert [seq for _, seq, _ in sent(outbox)] == [2, 3]


def test_the_next_process_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    first = make(tmp_path)
    first.commit({"round": 1}, [content(1), content(2)], ME)
    before = [first.body(item) for item in first._pending.values()]
    second = Outbox(StateFile(tmp_path), Spool(tmp_path), 2**28)
    assert second.open() == {"round": 1}
    assert [second.body(item) for item in second._pending.values()] == before
    second.commit({"round": 2}, [content(3)], ME)
    assert [seq for _, seq, _ in sent(second)] == [1, 2, 3]


def test_a_commit_without_batches_keeps_the_document(tmp_path: Path) -> None:
    make(tmp_path).commit({"finals": [1]}, [], ME)
    assert Outbox(StateFile(tmp_path), Spool(tmp_path), 1).open() == {"finals": [1]}


def test_old_batches_move_to_the_spool_and_come_back(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    for n in range(20):
        assert outbox.commit({}, [content(n)], ME)
    assert len(Spool(tmp_path).files()) == 12
    assert outbox.spool_bytes() == 12 * 4096
    assert StateFile(tmp_path).path.stat().st_size < 3000
    assert [n for _, _, n in sent(make(tmp_path))] == list(range(20))
    for _ in range(20):
        item = outbox.head()
        assert item is not None
        outbox.acknowledge(item)
    assert Spool(tmp_path).files() == []
    # The state file still carries the last ones, acknowledged since: sent again they are
    # duplicates.
    assert [n for _, _, n in sent(make(tmp_path))] == list(range(12, 20))


def test_a_full_spool_takes_no_batch_but_still_the_document(tmp_path: Path) -> None:
    outbox = make(tmp_path, limit=4096)
    taken = [n for n in range(20) if outbox.commit({}, [content(n)], ME)]
    assert taken == list(range(9))
    assert outbox.is_full()
    assert outbox.commit({"finals": ["kept"]}, [], ME)
    item = outbox.head()
    assert item is not None
    outbox.acknowledge(item)
    assert outbox.commit({}, [content(99)], ME)
    assert [(seq, n) for _, seq, n in sent(outbox)][-1] == (10, 99)


def test_a_write_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = make(tmp_path)
    outbox.commit({"round": 1}, [content(1)], ME)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert not outbox.commit({"round": 2}, [content(2)], ME)
    assert "No space left" in caplog.text
    assert [(seq, n) for _, seq, n in sent(outbox)] == [(1, 1)]
    assert outbox.commit({"round": 3}, [content(3)], ME)
    assert [(seq, n) for _, seq, n in sent(outbox)] == [(1, 1), (2, 3)]


def test_another_node_name_begins_a_new_stream_and_the_old_batches_go_as_they_are(
    tmp_path: Path,
) -> None:
    outbox = make(tmp_path)
    outbox.commit({}, [content(1)], ME)
    outbox.commit({}, [content(2, ("machine", "n2"))], ("machine", "n2"))
    (old, first, _), (new, second, _) = sent(make(tmp_path))
    assert old != new
    assert (first, second) == (1, 1)


def test_a_conflict_sends_what_is_unacknowledged_under_a_new_stream(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    for n in range(1, 13):
        outbox.commit({"round": n}, [content(n)], ME)
    head = outbox.head()
    assert head is not None
    outbox.acknowledge(head)
    item = outbox.head()
    assert item is not None
    taken = json.loads(outbox.body(item))["stream"]
    assert outbox.conflict(item)
    after = sent(outbox)
    assert {stream for stream, _, _ in after} != {taken}
    assert [(seq, n) for _, seq, n in after] == [(n - 1, n) for n in range(2, 13)]
    # The same bytes after a crash, and new batches follow on.
    outbox.commit({"round": 13}, [content(13)], ME)
    again = make(tmp_path)
    assert sent(again) == sent(outbox)
    assert sent(again)[-1][1:] == (12, 13)
    # The new stream may meet a conflict too.
    item = again.head()
    assert item is not None
    assert again.conflict(item)
    assert [(seq, n) for _, seq, n in sent(again)] == [(n - 1, n) for n in range(2, 14)]
    assert len({stream for stream, _, _ in sent(again)}) == 1


def test_batches_of_the_machine_it_was_cloned_from_are_not_sent_as_ours(tmp_path: Path) -> None:
    make(tmp_path).commit({}, [content(1, ("original", "n1"))], ("original", "n1"))
    clone = make(tmp_path)
    clone.commit({}, [content(2)], ME)
    item = clone.head()
    assert item is not None
    assert clone.conflict(item)
    assert [n for _, _, n in sent(clone)] == [2]
    assert clone.refused == 1
    assert len(list((tmp_path / "refused").glob("*.json"))) == 1


def test_a_damaged_state_file_starts_a_new_stream_and_spooled_batches_still_go(
    tmp_path: Path,
) -> None:
    outbox = make(tmp_path)
    for n in range(10):
        outbox.commit({}, [content(n)], ME)
    old = sent(outbox)[0][0]
    StateFile(tmp_path).path.write_bytes(b"rubbish")
    fresh = Outbox(StateFile(tmp_path), Spool(tmp_path), 2**28)
    assert fresh.open() is None
    fresh.commit({}, [content(77)], ME)
    assert [(stream == old, seq, n) for stream, seq, n in sent(fresh)] == [
        (True, 1, 0),
        (True, 2, 1),
        (False, 1, 77),
    ]


def test_a_refused_batch_makes_way(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    outbox.commit({}, [content(1), content(2)], ME)
    item = outbox.head()
    assert item is not None
    outbox.refuse(item, "400 ragged")
    assert [n for _, _, n in sent(outbox)] == [2]
    assert outbox.refused == 1
    (kept,) = (tmp_path / "refused").glob("*.json")
    assert json.loads(kept.read_bytes())["n"] == 1


def test_closing_wakes_who_waits(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    outbox.close()
    outbox.close()
    assert outbox.head(timeout_s=60.0) is None


class Deliveries(RuleBasedStateMachine):
    """Rounds, answers, conflicts and crashes in any order: each round arrives once, in one
    numbering."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name)
        self.outbox = make(self.path)
        self.rounds = 0
        self.ledger: dict[tuple[str, int], int] = {}
        self.taken: set[str] = set()

    def teardown(self) -> None:
        self._folder.cleanup()

    @rule(count=st.integers(0, 3))
    def commit(self, count: int) -> None:
        contents = [content(self.rounds + n) for n in range(count)]
        assert self.outbox.commit({"rounds": self.rounds + count}, contents, ME)
        self.rounds += count

    @precondition(lambda self: len(self.outbox) > 0)
    @rule(answer_lost=st.booleans(), count=st.integers(1, 5))
    def deliver(self, answer_lost: bool, count: int) -> None:
        for _ in range(count):
            item = self.outbox.head()
            if item is None:
                return
            document = json.loads(self.outbox.body(item))
            numbers = (document["stream"], document["seq"])
            if numbers[0] in self.taken:
                assert self.outbox.conflict(item)
                return
            assert self.ledger.setdefault(numbers, document["n"]) == document["n"]
            if answer_lost:
                return
            self.outbox.acknowledge(item)

    @precondition(lambda self: len(self.outbox) > 0)
    @rule()
    def stream_is_taken_by_a_clone(self) -> None:
        self.taken.add(sent(self.outbox)[0][0])

    @rule()
    def crash(self) -> None:
        self.outbox = make(self.path)

    @invariant()
    def nothing_is_lost(self) -> None:
        waiting = {n for _, _, n in sent(self.outbox)}
        assert waiting | set(self.ledger.values()) == set(range(self.rounds))


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
