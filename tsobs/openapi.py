"""The OpenAPI document: made of what each part of the service declares of its routes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tsobs import __version__
from tsobs.errors import SetupError
from tsobs.jobs.jobref import MAX_LENGTH
from tsobs.routes import Route, Scope

__all__ = ["Answer", "Operation", "Schema", "document", "object_schema", "ref"]

Schema = dict[str, Any]


class Answer(NamedTuple):
    """An answer of one status; without a schema it has no body, or one that is no JSON."""

    help: str
    schema: Schema | None = None
    media: str = "application/json"


class Operation(NamedTuple):
    """What a route takes and answers. `errors` are statuses beside those that every route has: the
    path's 404, a body's 413 and 415, a scope's 401 and 403, and 400 and 503."""

    summary: str
    answers: Mapping[int, Answer]
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None
    body_media: str = "application/json"
    errors: tuple[int, ...] = ()


def ref(name: str) -> Schema:
    """A schema by its name in the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_schema(
    fields: Mapping[str, Schema], required: Sequence[str] = (), *, is_open: bool = False
) -> Schema:
    """An object of these fields, and of no others unless it is open."""
    schema: Schema = {"type": "object", "properties": dict(fields)}
    if required:
        schema["required"] = list(required)
    return schema if is_open else schema | {"additionalProperties": False}


_ERROR = object_schema(
    {
        "error": {"type": "string", "description": "a code for programs"},
        "message": {"type": "string", "description": "what is wrong, for people"},
        "details": {"type": "object", "description": "field or parameter, rule, and more"},
    },
    ("error", "message", "details"),
)
_ERRORS = {
    400: "the request breaks a rule, which is named",
    401: "no token, or one that is not known",
    403: "a token that may not do this",
    404: "there is no such thing, or the token may not know of it",
    408: "the body took too long to arrive",
    409: "it contradicts what is stored",
    413: "the body is too large",
    415: "the body's type or encoding is not read",
    503: "try again after the seconds in Retry-After",
}
_PATH_ID: Schema = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "`123`, `slurm-123`, `123_4` (array), `123+1` (heterogeneous), or exactly "
    "`cluster:123.r<restart>[.<run>]`; what is not exact means the newest run",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LENGTH,
        "pattern": r"^[^\u0000-\u001f\u007f]+$",
    },
}
_HEADERS: Schema = {
    "X-Correlation-Id": {
        "description": "as the request had it, if it was of 1 to 128 letters, digits and "
        "._:/+=@-, else made up; kept with what the request changed",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:/+=@-]{1,128}$"},
    }
}


def document(
    operations: Mapping[tuple[str, str], Operation],
    schemas: Mapping[str, Schema],
    routes: Sequence[Route],
) -> dict[str, Any]:
    """OpenAPI 3.1 of exactly these routes; a SetupError names what is not declared alike."""
    declared = {(route.method, route.path) for route in routes}
    if differing := sorted(declared ^ set(operations)):
        raise SetupError(f"tsobs.routes and the declared operations differ: {differing}")
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        described = _operation(route, operations[route.method, route.path])
        paths.setdefault(route.path, {})[route.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tsobs",
            "version": __version__,
            "summary": "Job observability for HPC clusters",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, operation: Operation) -> dict[str, Any]:
    answers = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    for status in _error_statuses(route, operation):
        answers.setdefault(str(status), _answer(Answer(_ERRORS[status], ref("Error"))))
    path_parameters = (_PATH_ID,) if "{id}" in route.path else ()
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _operation_id(route),
        "tags": [sorted(route.roles - {"all"})[0] if len(route.roles) == 2 else "service"],
        "parameters": [*path_parameters, *operation.parameters],
        "responses": dict(sorted(answers.items())),
    }
    if operation.body is not None:
        content = {operation.body_media: {"schema": operation.body}}
        described["requestBody"] = {"required": True, "content": content}
    public = route.scope is Scope.PUBLIC
    described["description"] = "Needs no token." if public else f"Needs the scope `{route.scope}`."
    described["security"] = [] if public else [{"token": [route.scope.value]}]
    return described


def _error_statuses(route: Route, operation: Operation) -> set[int]:
    found = {400, 503, *operation.errors}
    if route.scope is not Scope.PUBLIC:
        found |= {401, 403}
    if "{id}" in route.path:
        found |= {404, 409}
    if operation.body is not None:
        found |= {408, 413, 415}
    return found


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.help, "headers": _HEADERS}
    if answer.schema is not None:
        described["content"] = {answer.media: {"schema": answer.schema}}
    return described


def _operation_id(route: Route) -> str:
    words = re.findall(r"[a-z]+", route.path.replace("/v1", ""))
    return "_".join([route.method.lower(), *words])
