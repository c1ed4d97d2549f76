from __future__ import annotations

import datetime
import hashlib

import pytest

from tsobs.errors import ValidationError
from tsobs.routes import Scope
from tsobs.tokens import NewToken, StoredToken, digest
from tsobs.tokens import _check as check


def test_only_a_hash_is_looked_up() -> None:
    assert digest("tsobs_x") == hashlib.sha256(b"tsobs_x").digest()


@pytest.mark.parametrize(
    "wanted",
    [
        NewToken("a", [Scope.AGENT]),
        NewToken("a", [Scope.AGENT, Scope.EVENTS], node="n1", cluster="c"),
        NewToken("a", [Scope.READ], user="alice", expires_in_s=60),
        NewToken("a", [Scope.READ], cluster="c"),
        NewToken("a", [Scope.ADMIN]),
    ],
)
def test_good_ones_pass(wanted: NewToken) -> None:
    check(wanted)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (NewToken("", [Scope.READ]), "name must be"),
        (NewToken("a\nb", [Scope.READ]), "name must be"),
        (NewToken("a", []), "one scope"),
        (NewToken("a", [Scope.PUBLIC]), "one scope"),
        (NewToken("a", [Scope.READ], user="x" * 256), "user must be"),
        (NewToken("a", [Scope.READ], expires_in_s=0), "in the future"),
        (NewToken("a", [Scope.READ], expires_in_s=1e12), "100 years"),
        # A bound that a scope does not heed must not look like a protection.
        (NewToken("a", [Scope.ADMIN], node="n1"), "cannot be bound"),
        (NewToken("a", [Scope.ADMIN], cluster="c"), "cannot be bound"),
        (NewToken("a", [Scope.AGENT, Scope.READ], node="n1"), "bound to a node"),
        (NewToken("a", [Scope.AGENT], user="alice"), "bound to a user"),
        (NewToken("a", [Scope.READ, Scope.EVENTS], user="alice"), "bound to a user"),
    ],
)
def test_others_are_refused(wanted: NewToken, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        check(wanted)


def test_state() -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    token = StoredToken(1, "a", (Scope.READ,), None, None, None, now, None, None, None)
    assert token.state(now) == "active"
    assert token._replace(expires_at=now).state(now) == "expired"
    later = now + datetime.timedelta(seconds=1)
    assert token._replace(expires_at=later).state(now) == "active"
    assert token._replace(expires_at=now, revoked_at=now).state(now) == "revoked"
