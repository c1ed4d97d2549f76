from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsobs.errors import InvalidRequest
from tsobs.jobs.jobref import MAX_LENGTH, JobRef, exact_id, parse_job_id


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("123", JobRef("123")),
        ("slurm-123", JobRef("slurm-123", scheduler="slurm", prefixed_job_id="123")),
        ("mock-job-001", JobRef("mock-job-001", scheduler="mock", prefixed_job_id="job-001")),
        ("other-123", JobRef("other-123")),
        ("123_4", JobRef("123_4", array_job_id="123", array_task_id="4")),
        ("123+1", JobRef("123+1", het_job_id="123", het_offset=1)),
        ("alpha:123", JobRef("123", cluster="alpha")),
        ("alpha:123.r2", JobRef("123", cluster="alpha", restart_count=2)),
        ("alpha:123.r2.1", JobRef("123", cluster="alpha", restart_count=2, run=1)),
        (
            "alpha:123_4.r0",
            JobRef(
                "123_4", cluster="alpha", array_job_id="123", array_task_id="4", restart_count=0
            ),
        ),
        # PBS ids have dots; without a cluster they are nothing else.
        ("123.r0", JobRef("123.r0")),
        ("123.server.r", JobRef("123.server.r")),
        ("alpha:123.pbs.r1", JobRef("123.pbs", cluster="alpha", restart_count=1)),
        ("alpha:123.run", JobRef("123.run", cluster="alpha")),
        ("123[4].server", JobRef("123[4].server")),
        (":123", JobRef(":123")),
        ("alpha:", JobRef("alpha:")),
    ],
)
def test_parse(text: str, ref: JobRef) -> None:
    assert parse_job_id(text) == ref


@pytest.mark.parametrize("text", ["", "x" * (MAX_LENGTH + 1), "1\x002", "1\n", "a:1.r9999999999"])
def test_what_no_job_is_called_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_job_id(text)
    assert refused.value.details["parameter"] == "id"


NAMES = st.from_regex(r"[A-Za-z0-9_.+-]{1,40}", fullmatch=True)
COUNTS = st.integers(0, 2**31 - 1)


def test_the_longest_of_all_can_be_written() -> None:
    longest = exact_id("c" * 64, "j" * 255, 2**31 - 1, 2**31 - 1)
    assert len(longest) == MAX_LENGTH
    assert parse_job_id(longest).job_id == "j" * 255


@given(NAMES, NAMES, COUNTS, COUNTS)
def test_an_exact_id_is_read_back(cluster: str, job_id: str, restart: int, run: int) -> None:
    ref = parse_job_id(exact_id(cluster, job_id, restart, run))
    assert (ref.cluster, ref.job_id, ref.restart_count, ref.run) == (cluster, job_id, restart, run)


def test_an_unknown_restart_count_is_written_as_zero() -> None:
    assert exact_id("alpha", "123", None, 0) == "alpha:123.r0.0"


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        parse_job_id(text)
