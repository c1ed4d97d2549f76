from __future__ import annotations

import pytest

from ingest.writtenjob import check_writer
from tsobs.errors import Forbidden
from tsobs.routes import Scope
from tsobs.viewer import EVERYBODY, Viewer

SCOPES = frozenset({Scope.EVENTS})


def test_within_its_bounds_a_token_writes() -> None:
    check_writer(EVERYBODY, "alpha")
    check_writer(Viewer("w", SCOPES, cluster="alpha"), "alpha")


def test_beyond_them_it_does_not() -> None:
    with pytest.raises(Forbidden, match="for cluster beta only") as refused:
        check_writer(Viewer("w", SCOPES, cluster="beta"), "alpha")
    assert refused.value.details["field"] == "cluster"
    with pytest.raises(Forbidden, match="for node n1 only, and this is about whole jobs"):
        check_writer(Viewer("w", SCOPES, node="n1"), "alpha")
