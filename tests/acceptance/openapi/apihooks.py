"""What schemathesis must know of this API beyond its schema: times it takes, jobs that exist."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import schemathesis
from hypothesis import strategies as st

EXISTING = ("1", "slurm-2", "default:3.r0.0", "4_1")

_OFFSETS = ("Z", "+00:00", "-05:30", "+14:00")
_SINCE_1970 = st.integers(1, 7_000_000_000)


def _written(unix_s: int, offset: str) -> str:
    return datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None).isoformat() + offset


schemathesis.openapi.format(
    "date-time",
    st.builds(_written, _SINCE_1970, st.sampled_from(_OFFSETS)),
)

# Remote-write: nothing at all, and a MetricMetadata, as snappy has them.
schemathesis.openapi.media_type(
    "application/x-protobuf", st.sampled_from([b"\x00", b"\x07\x18\x1a\x05\x08\x01\x12\x01m"])
)


@schemathesis.hook
def flatmap_path_parameters(ctx: Any, path_parameters: Any) -> Any:
    """Half of the ids are of jobs that exist."""
    if not path_parameters or "id" not in path_parameters:
        return st.just(path_parameters)
    known = [path_parameters | {"id": name} for name in EXISTING]
    return st.one_of(st.just(path_parameters), st.sampled_from(known))


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: Any) -> None:
    """Takes out of valid cases what is wrong only beside something else, or at another time."""
    if not case.meta.generation.mode.is_positive:
        return
    for name in ("cursor", "end_time"):
        (case.query or {}).pop(name, None)
    if isinstance(case.body, dict):
        case.body.pop("end_time", None)
        if case.operation.label == "POST /v1/jobs/{id}/metrics":
            case.body.pop("timestamp", None)
