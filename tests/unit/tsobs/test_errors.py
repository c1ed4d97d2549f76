"""The error tree: who must act, which status, what the answer carries."""

from __future__ import annotations

import inspect

import pytest

from tsobs import errors

EXPECTED = {
    errors.TsobsError: (500, "internal_error"),
    errors.CallerError: (400, "invalid_request"),
    errors.InvalidRequest: (400, "invalid_request"),
    errors.ValidationError: (400, "validation_error"),
    errors.Unauthorized: (401, "unauthorized"),
    errors.Forbidden: (403, "forbidden"),
    errors.NotFound: (404, "not_found"),
    errors.Conflict: (409, "conflict"),
    errors.TooLarge: (413, "too_large"),
    errors.UnsupportedMedia: (415, "unsupported_media_type"),
    errors.Overloaded: (503, "unavailable"),
    errors.SetupError: (500, "setup_error"),
}


def test_every_error_is_in_the_tree_and_drawn() -> None:
    found = {
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if value.__module__ == errors.__name__
    }
    assert found == set(EXPECTED)
    assert {value.__name__ for value in found} == set(errors.__all__)
    for kind in found:
        assert issubclass(kind, errors.TsobsError)
        assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(("kind", "expected"), EXPECTED.items(), ids=lambda value: str(value))
def test_status_and_code(kind: type[errors.TsobsError], expected: tuple[int, str]) -> None:
    assert (kind.status, kind.code) == expected
    # 4xx: the same request will fail again; senders drop it. 5xx: they keep it and try again.
    assert issubclass(kind, errors.CallerError) is (400 <= kind.status < 500)


def test_details_are_the_keywords() -> None:
    error = errors.ValidationError("no", field="state", rule="one of a list")
    assert (error.message, str(error)) == ("no", "no")
    assert error.details == {"field": "state", "rule": "one of a list"}


def test_overloaded_says_when_to_come_back() -> None:
    error = errors.Overloaded("later", retry_after_s=2.5, sqlstate="57P01")
    assert error.retry_after_s == 2.5
    assert error.details == {"sqlstate": "57P01"}
    assert errors.Overloaded("later").retry_after_s > 0
