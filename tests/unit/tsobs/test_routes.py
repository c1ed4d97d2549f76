from __future__ import annotations

import pytest

from tsobs.routes import ROUTES, Scope, routes_elsewhere, routes_of


def test_each_route_is_declared_once_with_a_scope() -> None:
    keys = [(route.method, route.path) for route in ROUTES]
    assert len(keys) == len(set(keys))
    assert all(isinstance(route.scope, Scope) for route in ROUTES)


PUBLIC = ["/v1/health", "/openapi.json"]


def test_only_health_and_the_document_are_public() -> None:
    assert [r.path for r in ROUTES if r.scope is Scope.PUBLIC] == PUBLIC


def test_what_writes_never_needs_read_alone() -> None:
    for route in ROUTES:
        assert (route.scope is Scope.READ) == (route.method == "GET" and route.path not in PUBLIC)


@pytest.mark.parametrize("role", ["ingest", "query"])
def test_the_roles_together_are_all(role: str) -> None:
    assert set(routes_of(role)) < set(routes_of("all")) == set(ROUTES)
    assert set(routes_of("ingest")) | set(routes_of("query")) == set(ROUTES)
    assert {"/v1/health", "/metrics/service"} <= {route.path for route in routes_of(role)}
    assert set(routes_elsewhere(role)) == set(ROUTES) - set(routes_of(role))
    assert all("all" in route.roles for route in ROUTES)
    assert not routes_elsewhere("all")
