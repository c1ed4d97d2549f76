"""Who changes a job and from where, as a client must say with each write."""

from __future__ import annotations

import re
from typing import NamedTuple

from aiohttp import web

from tsobs.errors import InvalidRequest, ValidationError
from tsobs.web import CORRELATION

__all__ = ["AUDIT_HEADERS", "AUDIT_PATTERN", "Audit", "read_audit"]

AUDIT_HEADERS = ("X-Changed-By", "X-Source")
# Header bytes beyond ASCII have no agreed meaning.
AUDIT_PATTERN = "^[!-~]([ -~]{0,253}[!-~])?$"
_PRINTABLE = re.compile(AUDIT_PATTERN)


class Audit(NamedTuple):
    """What the audit trail says of a change besides the change."""

    changed_by: str
    source: str
    correlation_id: str


def read_audit(request: web.Request) -> Audit:
    """The audit headers; raises InvalidRequest or ValidationError. Writes have no parameters."""
    for name in request.query:
        rule = "is not a parameter here; there are none"
        raise InvalidRequest(f"parameter {name} {rule}", parameter=name, rule=rule)
    changed_by, source = (_header(request, name) for name in AUDIT_HEADERS)
    return Audit(changed_by, source, request[CORRELATION])


def _header(request: web.Request, name: str) -> str:
    given = request.headers.getall(name, [])
    if not given:
        raise InvalidRequest(
            f"Header parameter {name} is required, but not found", parameter=name, rule="required"
        )
    if len(given) > 1:
        raise InvalidRequest(
            f"Expected one value for {name}, got {len(given)}", parameter=name, rule="one value"
        )
    value = given[0].strip()
    if not value:
        raise ValidationError(f"{name} header is required", field=name, rule="required")
    if not _PRINTABLE.fullmatch(value):
        rule = "must be 1 to 255 printable ASCII characters"
        raise InvalidRequest(
            f"Invalid format for parameter {name}: {rule}", parameter=name, rule=rule
        )
    return value
