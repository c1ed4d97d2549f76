"""POST /v1/events/job-started and job-finished: what hooks tell of a job's life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ingest.body import ByteBudget, taken_body, unpack
from ingest.eventwriter import EventWriter
from ingest.jsontext import parse_json
from ingest.lifecycle import Told, read_finished, read_started
from ingest.payload import audit_payload
from tsobs.errors import Forbidden, InvalidRequest
from tsobs.viewer import VIEWER, Viewer
from tsobs.web import CORRELATION, json_response

__all__ = ["EventsHandler"]


class EventsHandler:
    """Both routes; `cluster` is for senders that do not name theirs."""

    def __init__(
        self, writer: EventWriter, *, cluster: str, budget: ByteBudget, max_body_bytes: int
    ) -> None:
        self._writer = writer
        self._cluster = cluster
        self._budget = budget
        self._max_body_bytes = max_body_bytes

    async def started(self, request: web.Request) -> web.StreamResponse:
        """A job began to run."""
        body = await self._body(request)
        told = read_started(body)
        outcome = await self._observe(request, told, body)
        message = {"created": "Job registered successfully", "updated": "Job updated"}
        return _answer(told, outcome, message.get(outcome, "Job already registered"))

    async def finished(self, request: web.Request) -> web.StreamResponse:
        """A job ended; one that nobody announced is made."""
        body = await self._body(request)
        told = read_finished(body)
        outcome = await self._observe(request, told, body)
        is_news = outcome != "skipped"
        message = "Job finished successfully" if is_news else "Job already in terminal state"
        return _answer(told, "updated" if is_news else outcome, message)

    async def _body(self, request: web.Request) -> dict[str, Any]:
        async with taken_body(request, self._budget, self._max_body_bytes) as raw:
            body = parse_json(await unpack(request, raw, self._max_body_bytes))
        if not isinstance(body, dict):
            raise InvalidRequest("Invalid JSON body", field="body", rule="an object")
        return body

    async def _observe(self, request: web.Request, told: Told, body: Mapping[str, Any]) -> str:
        observation = told.observation(self._cluster)
        _check_bounds(request[VIEWER], observation.cluster, told.values)
        payload = audit_payload(body)
        return await self._writer.submit(
            observation._replace(correlation_id=request[CORRELATION], payload=payload)
        )


def _check_bounds(viewer: Viewer, cluster: str, values: Mapping[str, Any]) -> None:
    if viewer.cluster is not None and viewer.cluster != cluster:
        raise Forbidden(
            f"this token writes for cluster {viewer.cluster} only",
            field="cluster",
            rule=f"must be {viewer.cluster}",
        )
    if viewer.node is not None and viewer.node != values.get("node"):
        raise Forbidden(
            f"this token writes for node {viewer.node} only",
            field="node",
            rule=f"must be {viewer.node}",
        )


def _answer(told: Told, status: str, message: str) -> web.Response:
    return json_response({"status": status, "job_id": told.values["job_id"], "message": message})
