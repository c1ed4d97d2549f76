"""What a process's environment tells, and when it is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.process_environ import Facts, facts_of, parse_environ

FIRST = {
    "SLURM_JOB_ID": "5",
    "SLURM_SUBMIT_HOST": "login1",
    "SLURM_JOB_NAME": "burn",
    "SLURM_JOB_UID": "1001",
}


def facts(uid: int | None = 1001, here: str = "node17", **changes: str) -> Facts:
    return facts_of({**FIRST, **changes}, here=here, uid=uid)


def test_only_slurms_variables_are_read() -> None:
    data = b"HOME=/root\0SLURM_JOB_ID=5\0SLURM_BAD=\xff\0SLURM_EMPTY\0SLURM_X=a=b\n\0"
    assert parse_environ(data) == {"SLURM_JOB_ID": "5", "SLURM_X": "a=b\n"}
    assert parse_environ(b"") == {}


def test_no_restart_count_is_a_first_run() -> None:
    assert facts().restart_count == 0
    assert facts(SLURM_RESTART_COUNT="0").restart_count == 0
    assert facts(SLURM_RESTART_COUNT="2").restart_count == 2


@pytest.mark.parametrize("text", ["-1", "x", "", "1.5", "9" * 19, str(2**31), "٣", " 1"])
def test_a_restart_count_that_is_none_is_unknown(text: str) -> None:
    assert facts(SLURM_RESTART_COUNT=text).restart_count is None


@pytest.mark.parametrize("host", ["node3", "NODE3.example.org", "node17"])
def test_what_may_be_inherited_from_an_outer_job_is_not_believed(host: str) -> None:
    told = facts(
        SLURM_SUBMIT_HOST=host,
        SLURM_RESTART_COUNT="1",
        SLURM_ARRAY_JOB_ID="4",
        SLURM_ARRAY_TASK_ID="2",
    )
    assert told == Facts(name="burn")
    # That there was no restart cannot be inherited.
    assert facts(SLURM_SUBMIT_HOST=host).restart_count == 0


def test_without_a_submit_host_nothing_is_taken_for_its_own() -> None:
    variables = {"SLURM_RESTART_COUNT": "1", "SLURM_JOB_PARTITION": "debug"}
    assert facts_of(variables, here="n1", uid=None) == Facts(partition="debug")


def test_array_ids_come_in_pairs() -> None:
    told = facts(SLURM_ARRAY_JOB_ID="4", SLURM_ARRAY_TASK_ID="2")
    assert (told.array_job_id, told.array_task_id) == ("4", "2")
    assert facts(SLURM_ARRAY_JOB_ID="4").array_job_id is None
    assert facts(SLURM_ARRAY_JOB_ID="4", SLURM_ARRAY_TASK_ID="x").array_job_id is None


def test_a_user_name_goes_with_the_owners_uid() -> None:
    assert facts(SLURM_JOB_USER="alice").user_name == "alice"
    assert facts(uid=1002, SLURM_JOB_USER="alice").user_name is None
    assert facts(uid=None, SLURM_JOB_USER="alice").user_name is None


@pytest.mark.parametrize("name", ["", "(null)", "a\nb", "a\x1b[2J", "x" * 256, "\ud800"])
def test_a_text_that_could_do_harm_is_left_out(name: str) -> None:
    assert facts(SLURM_JOB_NAME=name, SLURM_JOB_ACCOUNT=name).name is None
    assert facts(SLURM_JOB_ACCOUNT=name).account is None


@given(st.binary())
def test_any_bytes_are_read(data: bytes) -> None:
    variables = parse_environ(b"SLURM_JOB_NAME=" + data)
    told = facts_of(variables, here="n1", uid=1)
    assert told.name is None or told.name.isprintable()
