"""Routes, handlers and the OpenAPI document agree, and the document is sound in itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from tests.documented import api_document
from tests.meta.sources import ROOT
from tsobs.errors import SetupError
from tsobs.openapi import Answer, Operation, document
from tsobs.routes import ROUTES, Route, Scope

DOCUMENT = api_document()
OPERATIONS = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for child in value.values():
            yield from refs(child)
    elif isinstance(value, list):
        for child in value:
            yield from refs(child)


def test_it_has_every_route_and_no_other() -> None:
    assert set(OPERATIONS) == {(route.method, route.path) for route in ROUTES}
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)


def test_what_differs_stops_the_start() -> None:
    operation = Operation("x", {200: Answer("x")})
    route = Route("GET", "/x", Scope.READ, frozenset({"all", "query"}))
    assert document({("GET", "/x"): operation}, {}, [route])["paths"]["/x"]["get"]["summary"] == "x"
    for operations, routes in (({}, [route]), ({("GET", "/x"): operation}, [])):
        with pytest.raises(SetupError, match="GET"):
            document(operations, {}, routes)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    there = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(refs(DOCUMENT)) == there


def test_schemas_are_schemas() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        whole = {**schema, "components": DOCUMENT["components"]}
        jsonschema_rs.meta.validate(
            {**whole, "$schema": "https://json-schema.org/draft/2020-12/schema"}
        )
        jsonschema_rs.Draft202012Validator(whole)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_an_operation_tells_its_scope_its_errors_and_its_parameters(route: Route) -> None:
    operation = OPERATIONS[route.method, route.path]
    public = route.scope is Scope.PUBLIC
    assert operation["security"] == ([] if public else [{"token": [route.scope.value]}])
    statuses = set(operation["responses"])
    assert {"400", "503"} <= statuses
    assert ({"401", "403"} <= statuses) is not public
    in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", route.path))
    assert ({"404", "409"} <= statuses) or not in_path
    assert ("413" in statuses) is ("requestBody" in operation)


def test_the_reference_names_every_route() -> None:
    text = (ROOT / "docs" / "rest.md").read_text()
    for route in ROUTES:
        assert f"`{route.method} {route.path}`" in text
