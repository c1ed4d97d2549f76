"""POST /v1/events/job-started and job-finished: what hooks tell of a job's life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ingest.bounds import check_cluster, check_node
from ingest.eventwriter import EventWriter
from ingest.lifecycle import Told, read_finished, read_started
from ingest.payload import ObjectReader, audit_payload
from tsobs.viewer import VIEWER
from tsobs.web import CORRELATION, json_response

__all__ = ["EventsHandler"]


class EventsHandler:
    """Both routes; `cluster` is for senders that do not name theirs."""

    def __init__(self, writer: EventWriter, reader: ObjectReader, *, cluster: str) -> None:
        self._writer = writer
        self._reader = reader
        self._cluster = cluster

    async def started(self, request: web.Request) -> web.StreamResponse:
        """A job began to run."""
        body = await self._reader.read(request)
        told = read_started(body)
        outcome = await self._observe(request, told, body)
        message = {"created": "Job registered successfully", "updated": "Job updated"}
        return _answer(told, outcome, message.get(outcome, "Job already registered"))

    async def finished(self, request: web.Request) -> web.StreamResponse:
        """A job ended; one that nobody announced is made."""
        body = await self._reader.read(request)
        told = read_finished(body)
        outcome = await self._observe(request, told, body)
        is_news = outcome != "skipped"
        message = "Job finished successfully" if is_news else "Job already in terminal state"
        return _answer(told, "updated" if is_news else outcome, message)

    async def _observe(self, request: web.Request, told: Told, body: Mapping[str, Any]) -> str:
        observation = told.observation(self._cluster)
        viewer = request[VIEWER]
        check_cluster(viewer, observation.cluster)
        check_node(viewer, told.values.get("node"), "node")
        payload = audit_payload(body)
        return await self._writer.submit(
            observation._replace(correlation_id=request[CORRELATION], payload=payload)
        )


def _answer(told: Told, status: str, message: str) -> web.Response:
    return json_response({"status": status, "job_id": told.values["job_id"], "message": message})
