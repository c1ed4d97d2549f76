"""Files of hooks: claimed by one, given back, put aside."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nodeagent.event_spool import EventSpool

NAME = "1795257300-5-x.job-started.json"


@pytest.fixture
def spool(tmp_path: Path) -> EventSpool:
    return EventSpool(tmp_path)


def put(spool: EventSpool, name: str = NAME, body: bytes = b"{}", age_s: float = 0) -> Path:
    path = spool.folder / name
    path.write_bytes(body)
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def test_what_waits_is_the_oldest_first_and_nothing_else(spool: EventSpool) -> None:
    newer, older = put(spool, age_s=5), put(spool, "1-4-y.job-finished.json", age_s=10)
    for name in (
        f"{NAME}.tmp",
        ".json",
        "x.json",
        "a.job-started.json.sending",
        "b.job-ended.json",
    ):
        put(spool, name)
    (spool.folder / "refused").mkdir()
    assert spool.waiting() == [older, newer]


def test_a_folder_that_is_not_there_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        EventSpool(tmp_path / "none").waiting()


def test_a_claim_is_ones_own(spool: EventSpool) -> None:
    path = put(spool, body=b'{"job_id": "5"}')
    event = spool.claim(path)
    assert event is not None
    assert (event.kind, event.body) == ("job-started", b'{"job_id": "5"}')
    assert spool.claim(path) is None
    assert spool.waiting() == []
    spool.release(event)
    assert spool.waiting() == [path]
    again = spool.claim(path)
    assert again is not None
    spool.delivered(again)
    assert list(spool.folder.iterdir()) == []


def test_an_abandoned_claim_is_up_for_grabs_after_a_minute(
    spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(spool, age_s=3600)
    # Old as a file, but claimed just now.
    assert spool.claim(path) is not None
    assert spool.waiting() == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert spool.waiting() == [path]
    assert spool.claim(path) is not None


def test_a_refused_event_is_kept_with_the_reason(spool: EventSpool) -> None:
    event = spool.claim(put(spool))
    assert event is not None
    spool.refuse(event, "422: job_id is required")
    refused = spool.folder / "refused"
    assert (refused / NAME).read_bytes() == b"{}"
    assert (refused / f"{NAME}.reason").read_text() == "422: job_id is required\n"
    assert spool.waiting() == []


def test_what_cannot_be_an_event_is_put_aside_unread(spool: EventSpool, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    (tmp_path / "a.job-started.json").symlink_to(secret)
    os.mkfifo(tmp_path / "b.job-started.json")
    put(spool, "c.job-started.json", b"x" * 1_048_577)
    for path in spool.waiting():
        assert spool.claim(path) is None
    assert spool.waiting() == []
    assert len(list((tmp_path / "refused").glob("*.reason"))) == 3


def test_an_event_that_cannot_be_put_aside_stays(
    spool: EventSpool, caplog: pytest.LogCaptureFixture
) -> None:
    put(spool, "refused", b"")
    event = spool.claim(put(spool))
    assert event is not None
    spool.refuse(event, "no")
    assert event.claimed.exists()
    assert "not moved" in caplog.text
