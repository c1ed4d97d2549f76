"""Checks answers of a service against its own OpenAPI document."""

from __future__ import annotations

import functools
import re
from typing import Any

import jsonschema_rs

from ingest import operations as ingesting
from query import operations as querying
from tsobs import health
from tsobs.openapi import document
from tsobs.routes import ROUTES

__all__ = ["api_document", "check_answer"]

Validator = jsonschema_rs.Draft202012Validator

_PARTS = (health, ingesting, querying)


@functools.cache
def api_document() -> dict[str, Any]:
    """The document that a service gives out."""
    operations = {key: value for part in _PARTS for key, value in part.OPERATIONS.items()}
    schemas = {key: value for part in _PARTS for key, value in part.SCHEMAS.items()}
    return document(operations, schemas, ROUTES)


@functools.cache
def _validator(
    method: str, template: str, status: int
) -> jsonschema_rs.Draft202012Validator | None:
    """Of the answer's JSON; None where there is none. Fails for a status that is not documented."""
    answers = api_document()["paths"][template][method.lower()]["responses"]
    assert str(status) in answers, f"{method} {template} is not documented to answer {status}"
    content = answers[str(status)].get("content", {}).get("application/json")
    if content is None:
        return None
    schema = {**content["schema"], "components": api_document()["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def _template(path: str) -> str | None:
    for template in api_document()["paths"]:
        if re.fullmatch(template.replace("{id}", "[^/]+"), path):
            return str(template)
    return None


def check_answer(method: str, path: str, status: int, body: Any) -> None:
    """Fails unless the answer is one that the document has; `body` is JSON, or None without."""
    template = _template(path.partition("?")[0])
    if template is None or method.lower() not in api_document()["paths"][template]:
        return
    validator = _validator(method, template, status)
    if validator is None:
        assert body is None, f"{method} {template} has a JSON body with {status}"
    else:
        validator.validate(body)
