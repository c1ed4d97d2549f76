"""What the query routes take and answer, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence

from query.events_api import EVENTS_PARAMETERS
from query.jobs_api import LIST_PARAMETERS, ONE_PARAMETERS
from query.nodes_api import NODES_PARAMETERS
from query.params import Parameter
from query.series_api import SERIES_PARAMETERS, SOURCES
from tsobs.jobs.jobschema import DETAIL_FIELDS, JOB_FIELDS
from tsobs.openapi import Answer, Operation, Schema, object_schema, ref

__all__ = ["OPERATIONS", "SCHEMAS"]

_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_KEY: Schema = {"type": "integer", "minimum": 1}
_NUMBER_OR_NULL: Schema = {"type": ["number", "null"], "minimum": 0}
_OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


_NUMBERS = (
    "cpu_usage",
    "gpu_usage",
    "cpu_usage_ratio",
    "cpu_seconds",
    "memory_used_bytes",
    "memory_rss_bytes",
    "io_read_bytes",
    "io_write_bytes",
    "energy_joules",
    "gpu_usage_ratio",
    "gpu_memory_used_bytes",
    "gpu_energy_joules",
)
_SAMPLE = object_schema(
    {
        "timestamp": _TIME,
        "memory_usage_mb": {"type": ["integer", "null"], "minimum": 0},
        **dict.fromkeys(_NUMBERS, _NUMBER_OR_NULL),
        "node": _TEXT,
        "coverage": {"type": "number", "minimum": 0, "maximum": 1},
    },
    ("timestamp", "cpu_usage", "memory_usage_mb", "gpu_usage"),
)
_JOB_OF = {"job_id": _TEXT, "key": _KEY, "cluster": _TEXT}
_EVENT = object_schema(
    {
        "event_id": _KEY,
        "changed_at": _TIME,
        "kind": {**_TEXT, "description": "what was done, such as created, started, finished"},
        "changed_by": _TEXT,
        "source": _TEXT,
        "correlation_id": _TEXT,
        "rank": {**_COUNT, "description": "how much its word counts, 4 at most"},
        "old": {**_OBJECT_OR_NULL, "description": "values before, by column of tsobs.job"},
        "new": {**_OBJECT_OR_NULL, "description": "values after"},
        "payload": {"description": "what was received"},
    },
    ("event_id", "changed_at", "kind", "changed_by", "source", "rank"),
)
_NODE_NUMBERS = (
    "interval_seconds",
    "cpus",
    "cpu_usage",
    "load1",
    "load5",
    "load15",
    "memory_total_bytes",
    "memory_available_bytes",
    "memory_free_bytes",
    "memory_cached_bytes",
    "swap_total_bytes",
    "swap_free_bytes",
    "processes",
    "processes_running",
    "power_watts",
    "gpu_usage",
)
_NODE = object_schema(
    {
        "node": _TEXT,
        "cluster": _TEXT,
        "aliases": _list_of(_TEXT),
        "alive": {"type": "boolean"},
        "job_count": _COUNT,
        "gpu_count": _COUNT,
        "sample_count": _COUNT,
        "first_seen_at": _TIME,
        "last_sample_at": _TIME,
        "agent_version": _TEXT,
        **{name: {"type": "number", "minimum": 0} for name in _NODE_NUMBERS},
    },
    ("node", "cluster", "alive", "job_count"),
)

SCHEMAS: dict[str, Schema] = {
    # A projection leaves out what was not asked for.
    "Job": object_schema(JOB_FIELDS),
    "JobDetail": object_schema(DETAIL_FIELDS),
    "JobListResponse": object_schema(
        {
            "jobs": _list_of(ref("Job")),
            "total": {**_COUNT, "maximum": 10_000},
            "total_is_lower_bound": {"const": True},
            "limit": _COUNT,
            "offset": _COUNT,
            "next_cursor": _TEXT,
        },
        ("jobs", "total", "limit", "offset"),
    ),
    "MetricSample": _SAMPLE,
    "JobMetricsResponse": object_schema(
        {
            **_JOB_OF,
            "source": {"enum": [*SOURCES]},
            "samples": _list_of(ref("MetricSample")),
            "total": _COUNT,
            "limit": _COUNT,
            "step_seconds": {"type": ["integer", "null"], "minimum": 1},
        },
        (*_JOB_OF, "source", "samples", "total", "limit", "step_seconds"),
    ),
    "JobEvent": _EVENT,
    "JobEventsResponse": object_schema(
        {
            **_JOB_OF,
            "events": _list_of(ref("JobEvent")),
            "total": _COUNT,
            "limit": _COUNT,
            "next_cursor": _TEXT,
        },
        (*_JOB_OF, "events", "total", "limit"),
    ),
    "Node": _NODE,
    "NodeListResponse": object_schema(
        {
            "nodes": _list_of(ref("Node")),
            "total": _COUNT,
            "limit": _COUNT,
            "next_cursor": _TEXT,
        },
        ("nodes", "total", "limit"),
    ),
}


def _parameters(declared: Sequence[Parameter]) -> tuple[Schema, ...]:
    return tuple(
        {
            "name": parameter.name,
            "in": "query",
            "description": parameter.help,
            "schema": parameter.kind.schema,
            "allowEmptyValue": True,
            # Commas between the values of a list.
            **({"explode": False} if parameter.kind.schema["type"] == "array" else {}),
        }
        for parameter in declared
    )


def _json(name: str, help: str) -> dict[int, Answer]:
    return {200: Answer(help, ref(name))}


OPERATIONS = {
    ("GET", "/metrics"): Operation(
        "What is alive now, for Prometheus",
        {200: Answer("text 0.0.4, or OpenMetrics 1.0.0 when asked for", _TEXT, "text/plain")},
    ),
    ("GET", "/v1/jobs"): Operation(
        "Jobs",
        _json("JobListResponse", "a page of jobs"),
        parameters=_parameters(LIST_PARAMETERS),
    ),
    ("GET", "/v1/jobs/{id}"): Operation(
        "One run of one job",
        _json("JobDetail", "the job, with what it used on each node and GPU"),
        parameters=_parameters(ONE_PARAMETERS),
    ),
    ("GET", "/v1/jobs/{id}/metrics"): Operation(
        "What a job used over time",
        _json("JobMetricsResponse", "samples, newest first"),
        parameters=_parameters(SERIES_PARAMETERS),
    ),
    ("GET", "/v1/jobs/{id}/events"): Operation(
        "Who changed a job, when and how",
        _json("JobEventsResponse", "a page of events, oldest first"),
        parameters=_parameters(EVENTS_PARAMETERS),
    ),
    ("GET", "/v1/nodes"): Operation(
        "Nodes with their newest values",
        _json("NodeListResponse", "a page of nodes, by cluster and name"),
        parameters=_parameters(NODES_PARAMETERS),
    ),
}
