from __future__ import annotations

from ingest.eventfields import FINISHED, STARTED
from ingest.jobfields import CREATE, UPDATE
from ingest.operations import OPERATIONS, SCHEMAS


def test_bodies_have_the_fields_that_handlers_read() -> None:
    for name, fields in (
        ("JobStartedEvent", STARTED),
        ("JobFinishedEvent", FINISHED),
        ("CreateJobRequest", CREATE),
        ("UpdateJobRequest", UPDATE),
    ):
        assert list(SCHEMAS[name]["properties"]) == [field.name for field in fields]
    assert SCHEMAS["CreateJobRequest"]["required"] == ["id", "user", "nodes"]
    assert "required" not in SCHEMAS["UpdateJobRequest"]


def test_every_write_of_jobs_says_who_writes() -> None:
    for (method, path), operation in OPERATIONS.items():
        named = [each["name"] for each in operation.parameters if each["required"]]
        expected = ["X-Changed-By", "X-Source"] if path.startswith("/v1/jobs") else []
        assert named == expected, (method, path)
