from __future__ import annotations

import datetime
import inspect
import json

import pytest
from aiohttp import web

from tsobs import errors
from tsobs.answers import error_response, json_response


def body(response: web.Response) -> dict[str, object]:
    assert isinstance(response.body, bytes)
    found = json.loads(response.body)
    assert isinstance(found, dict)
    return found


def test_json() -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    response = json_response({"at": moment, "nan": float("nan"), 1: "int key"}, 201)
    assert (response.status, response.content_type) == (201, "application/json")
    assert body(response) == {"at": "2026-01-02T03:04:05Z", "nan": None, "1": "int key"}


ERRORS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.CallerError | errors.Overloaded)
]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_that_a_caller_meets_has_the_one_shape(
    kind: type[errors.TsobsError],
) -> None:
    response = error_response(kind("so", field="f", rule="r"))
    assert response.status == kind.status
    assert body(response) == {
        "error": kind.code,
        "message": "so",
        "details": {"field": "f", "rule": "r"},
    }


def test_try_again_says_when() -> None:
    response = error_response(errors.Overloaded("x", retry_after_s=0.1))
    assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    "error", [errors.TsobsError("secret"), errors.SetupError("secret"), RuntimeError("secret")]
)
def test_what_is_ours_shows_nothing(error: Exception) -> None:
    response = error_response(error, correlation_id="c")
    assert response.status == 500
    assert body(response) == {
        "error": "internal_error",
        "message": "Internal server error",
        "details": {"correlation_id": "c"},
    }


def test_a_wrong_method_says_which_are_right() -> None:
    response = error_response(web.HTTPMethodNotAllowed("PUT", ["POST", "GET"]))
    assert response.headers["Allow"] == "GET,POST"
    assert body(response)["error"] == "method_not_allowed"
    assert body(response)["details"] == {"allowed": ["GET", "POST"]}


def test_a_missing_scope_is_in_the_header() -> None:
    response = error_response(errors.Forbidden("x", scope="agent"))
    assert 'error="insufficient_scope", scope="agent"' in response.headers["WWW-Authenticate"]
    assert "WWW-Authenticate" not in error_response(errors.Forbidden("x")).headers
