"""A request's JSON object, read within bounds, and as the audit trail keeps it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from ingest.body import ByteBudget, taken_body, unpack
from ingest.jsontext import parse_json
from tsobs.errors import InvalidRequest

__all__ = ["ObjectReader", "audit_payload"]

# An escaped null: after an even number of backslashes.
_NULL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class ObjectReader:
    """Reads bodies that are one JSON object."""

    def __init__(self, budget: ByteBudget, max_body_bytes: int) -> None:
        self._budget = budget
        self._max_body_bytes = max_body_bytes

    async def read(self, request: web.Request) -> dict[str, Any]:
        """The object; raises InvalidRequest, TooLarge or UnsupportedMedia."""
        async with taken_body(request, self._budget, self._max_body_bytes) as raw:
            body = parse_json(await unpack(request, raw, self._max_body_bytes))
        if not isinstance(body, dict):
            raise InvalidRequest("Invalid JSON body", field="body", rule="an object")
        return body


def audit_payload(body: Mapping[str, Any]) -> str:
    """The body for the audit trail; raises InvalidRequest for what jsonb cannot hold."""
    try:
        text = orjson.dumps(body).decode()
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            "Invalid JSON body", field="body", rule="nested 254 deep at most", problem=str(error)
        ) from error
    if _NULL.search(text):
        raise InvalidRequest(
            "Invalid JSON body", field="body", rule="no \\u0000", problem="a null character"
        )
    return text
