"""What the ingest routes take and answer, for the OpenAPI document."""

from __future__ import annotations

from ingest.audit import AUDIT_HEADERS, AUDIT_PATTERN
from ingest.batch import Gpu, Job
from ingest.eventfields import ENDS, FINISHED, REASONS, STARTED
from ingest.fieldschemas import body_schema
from ingest.jobfields import CREATE, SCHEDULER, UPDATE
from ingest.reported import REPORT
from tsobs.columns import TABLES
from tsobs.openapi import Answer, Operation, Schema, object_schema, ref

__all__ = ["OPERATIONS", "SCHEMAS"]

_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_COLUMN: Schema = {"type": "array"}


def _columns(names: tuple[str, ...], required: tuple[str, ...]) -> Schema:
    return object_schema(dict.fromkeys(names, _COLUMN), required, is_open=True)


_TABLES = object_schema(dict.fromkeys(TABLES, _columns(("time",), ("time",))), is_open=True)
_BATCH = object_schema(
    {
        "stream": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "seq": {"type": "integer", "minimum": 1, "maximum": 2**62 - 1},
        "machine_id": _NAME,
        "agent_version": {"type": ["string", "null"]},
        "clock_offset_s": {"type": ["number", "null"]},
        "cluster": {"type": ["string", "null"]},
        "node": object_schema({"name": _NAME}, ("name",), is_open=True),
        "jobs": {"anyOf": [_columns(Job._fields, ("scheduler", "job_id")), {"type": "null"}]},
        "gpus": {"anyOf": [_columns(Gpu._fields, ("uuid",)), {"type": "null"}]},
        "tables": {
            "anyOf": [_TABLES, {"type": "null"}],
            "description": "by table, one list a column, all of one length",
        },
    },
    ("stream", "seq", "machine_id", "node"),
    is_open=True,
)
_REJECT = object_schema({"table": _TEXT, "row": _COUNT, "field": _TEXT, "rule": _TEXT})
_REASON: Schema = {"enum": sorted(REASONS)}

SCHEMAS: dict[str, Schema] = {
    "SampleBatch": _BATCH,
    "SamplesAnswer": object_schema(
        {
            "status": {"enum": ["accepted", "duplicate"]},
            "time": {"type": "number", "description": "the service's clock, unix seconds"},
            "stored": {"type": "object", "additionalProperties": _COUNT},
            "rejected": {"type": "array", "items": _REJECT},
            "rejected_count": _COUNT,
            "ignored": {"type": "array", "items": _TEXT},
        },
        ("status", "time", "stored", "rejected", "rejected_count", "ignored"),
    ),
    "JobStartedEvent": body_schema(STARTED, {"state_reason": _REASON}),
    "JobFinishedEvent": body_schema(
        FINISHED, {"state_reason": _REASON, "final_state": {"enum": [*ENDS]}}
    ),
    "JobEventResponse": object_schema(
        {
            "status": {"enum": ["created", "updated", "skipped"]},
            "job_id": _TEXT,
            "message": _TEXT,
        },
        ("status", "job_id", "message"),
    ),
    "CreateJobRequest": body_schema(CREATE, {"scheduler": body_schema(SCHEDULER)}),
    "UpdateJobRequest": body_schema(UPDATE),
    "RecordMetricsRequest": body_schema(REPORT),
    "ReportedSample": object_schema(
        {
            "timestamp": {"type": "string", "format": "date-time"},
            "cpu_usage": {"type": "number", "minimum": 0, "maximum": 100},
            "memory_usage_mb": _COUNT,
            "gpu_usage": {"type": "number", "minimum": 0, "maximum": 100},
        },
        ("timestamp",),
    ),
}

_AUDIT = tuple(
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": "kept with the change",
        "schema": {"type": "string", "pattern": AUDIT_PATTERN},
    }
    for name in AUDIT_HEADERS
)


def _json(name: str, help: str) -> Answer:
    return Answer(help, ref(name))


_BYTES: Schema = {
    "type": "string",
    "contentEncoding": "binary",
    "description": "snappy's block format of prometheus.WriteRequest, or of "
    "io.prometheus.write.v2.Request as Content-Type says",
}
_REMOTE_WRITE = Operation(
    "Samples by Prometheus remote-write 1.0 or 2.0",
    {204: Answer("stored for good, or stored before")},
    body=_BYTES,
    body_media="application/x-protobuf",
)

OPERATIONS = {
    ("POST", "/v1/samples"): Operation(
        "An agent's batch of samples",
        {200: _json("SamplesAnswer", "stored for good, or stored before")},
        body=ref("SampleBatch"),
        errors=(409,),
    ),
    ("POST", "/v1/events/job-started"): Operation(
        "A job began to run",
        {200: _json("JobEventResponse", "what came of it")},
        body=ref("JobStartedEvent"),
    ),
    ("POST", "/v1/events/job-finished"): Operation(
        "A job ended",
        {200: _json("JobEventResponse", "what came of it")},
        body=ref("JobFinishedEvent"),
    ),
    ("POST", "/api/v1/write"): _REMOTE_WRITE,
    ("POST", "/api/v1/push"): _REMOTE_WRITE,
    ("POST", "/v1/jobs"): Operation(
        "Announces a job that runs",
        {201: _json("Job", "the job")},
        parameters=_AUDIT,
        body=ref("CreateJobRequest"),
        errors=(409,),
    ),
    ("PATCH", "/v1/jobs/{id}"): Operation(
        "Changes a job's state and takes what it uses at the moment",
        {200: _json("Job", "the job as it is now")},
        parameters=_AUDIT,
        body=ref("UpdateJobRequest"),
    ),
    ("DELETE", "/v1/jobs/{id}"): Operation(
        "Marks a job as deleted",
        {204: Answer("it is not listed and not found any more")},
        parameters=_AUDIT,
    ),
    ("POST", "/v1/jobs/{id}/metrics"): Operation(
        "A sample of a whole job that a client measured",
        {
            201: _json("ReportedSample", "the sample"),
            200: _json("ReportedSample", "the sample that was there for this time"),
        },
        parameters=_AUDIT,
        body=ref("RecordMetricsRequest"),
    ),
}
