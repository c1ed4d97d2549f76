"""User names, without ever waiting long."""

from __future__ import annotations

import os
import pwd
import threading
import time

import pytest

from nodeagent import users as users_module
from nodeagent.users import Users


def test_a_name_is_known_at_once_and_asked_for_once() -> None:
    asked = []

    def lookup(uid: int) -> str:
        asked.append(uid)
        return f"user{uid}"

    users = Users(lookup)
    assert [users.name(5), users.name(5), users.name(6)] == ["user5", "user5", "user6"]
    assert asked == [5, 6]
    users.close()
    users.close()


def test_a_directory_service_that_hangs_delays_nobody() -> None:
    release = threading.Event()

    def lookup(uid: int) -> str:
        release.wait(10)
        return "late"

    users = Users(lookup)
    start = time.monotonic()
    assert [users.name(5) for _ in range(100)] == [None] * 100
    assert time.monotonic() - start < 1
    release.set()
    deadline = time.monotonic() + 5
    while users.name(5) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert users.name(5) == "late"
    users.close()


@pytest.mark.parametrize("failure", [KeyError(5), OSError(5, "down")])
def test_an_unknown_user_is_asked_for_again_later(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def lookup(uid: int) -> str:
        asked.append(uid)
        raise failure

    users = Users(lookup)
    assert users.name(5) is None
    assert users.name(5) is None
    assert len(asked) == 1
    monkeypatch.setattr(users_module, "_ASK_AGAIN_S", 0.0)
    users.name(5)
    assert len(asked) == 2
    users.close()


def test_by_default_the_systems_accounts() -> None:
    users = Users()
    assert users.name(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
    users.close()
