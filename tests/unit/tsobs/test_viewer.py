from __future__ import annotations

from tsobs.routes import Scope
from tsobs.viewer import ANONYMOUS, EVERYBODY, Viewer


def test_admin_implies_every_scope() -> None:
    admin = Viewer("root", frozenset({Scope.ADMIN}))
    assert all(admin.may(scope) for scope in Scope)
    assert all(EVERYBODY.may(scope) for scope in Scope)


def test_a_scope_implies_no_other() -> None:
    for own in set(Scope) - {Scope.ADMIN}:
        viewer = Viewer("x", frozenset({own}))
        assert {scope for scope in Scope if viewer.may(scope)} == {own, Scope.PUBLIC}


def test_nobody_may_only_what_is_public() -> None:
    assert [scope for scope in Scope if ANONYMOUS.may(scope)] == [Scope.PUBLIC]
