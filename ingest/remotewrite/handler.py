"""POST /api/v1/write: one body of samples, answered when it is committed."""

from __future__ import annotations

import logging

from aiohttp import web

from ingest.body import ByteBudget, taken_body
from ingest.remotewrite.negotiation import V2, negotiated_version
from ingest.remotewrite.receiver import Receiver, Verdict
from ingest.remotewrite.remotemetrics import RemoteWriteMetrics
from ingest.remotewrite.unpacking import MAX_PACKED_BYTES
from tsobs.answers import error_response
from tsobs.errors import CallerError, Forbidden, InvalidRequest, Overloaded, TooLarge
from tsobs.viewer import VIEWER, Viewer

__all__ = ["RemoteWriteHandler"]

log = logging.getLogger(__name__)

WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


class RemoteWriteHandler:
    """Takes bodies in within bounds, and answers in the words of the protocol."""

    def __init__(
        self, receiver: Receiver, metrics: RemoteWriteMetrics, *, budget: ByteBudget
    ) -> None:
        self._receiver = receiver
        self._metrics = metrics
        self._budget = budget

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        version = self._version(request)
        try:
            verdict = await self._taken(request, version)
        except CallerError as error:
            self._metrics.bodies.labels("refused").inc()
            if version != V2:
                raise
            return _refusal(error, None)
        except Overloaded:
            self._metrics.bodies.labels("overloaded").inc()
            raise
        except Exception:
            self._metrics.bodies.labels("failed").inc()
            raise
        self._metrics.bodies.labels(_result(verdict)).inc()
        return self._answer(verdict, version)

    def _version(self, request: web.Request) -> int:
        try:
            check_unbound(request[VIEWER])
            return negotiated_version(request.headers)
        except CallerError:
            self._metrics.bodies.labels("refused").inc()
            raise

    async def _taken(self, request: web.Request, version: int) -> Verdict:
        try:
            async with taken_body(request, self._budget, MAX_PACKED_BYTES) as packed:
                with self._budget.share() as held:
                    return await self._receiver.take(packed, version, held)
        except TooLarge as error:
            # Not 413: vmagent would send the same for ever.
            raise InvalidRequest(error.message, **error.details) from None

    def _answer(self, verdict: Verdict, version: int) -> web.Response:
        for rule, count in verdict.refusals.counts.items():
            self._metrics.refused.labels(rule).inc(count)
        if verdict.refusals:
            stored = verdict.samples + verdict.exemplars + verdict.histograms
            error = verdict.refusals.error(stored)
            log.info("a remote-write body was taken in part: %s", error)
            return _refusal(error, verdict if version == V2 else None, version)
        headers = _written(verdict) if version == V2 else None
        return web.Response(status=204, headers=headers)


def check_unbound(viewer: Viewer) -> None:
    """Raises Forbidden for a token that is bound to something: series are of no node, cluster or
    user that could be checked."""
    for bound in ("node", "cluster", "user"):
        if getattr(viewer, bound) is not None:
            raise Forbidden(
                f"this token is bound to a {bound}, and series belong to none",
                field=bound,
                rule="a token that is not bound",
            )


def _result(verdict: Verdict) -> str:
    if verdict.is_empty:
        return "refused" if verdict.refusals else "empty"
    if verdict.refusals:
        return "partial"
    return "stored" if verdict.is_new else "duplicate"


def _written(verdict: Verdict | None) -> dict[str, str]:
    counts = (verdict.samples, verdict.exemplars, verdict.histograms) if verdict else (0, 0, 0)
    kinds = ("Samples", "Exemplars", "Histograms")
    return {WRITTEN.format(kind): str(n) for kind, n in zip(kinds, counts, strict=True)}


def _refusal(error: CallerError, verdict: Verdict | None, version: int = V2) -> web.Response:
    response = error_response(error)
    # A sender of 1.0 would take them for a promise.
    if version == V2:
        response.headers.update(_written(verdict))
    return response
