from __future__ import annotations

from query.jobs_api import LIST_PARAMETERS
from query.operations import OPERATIONS


def test_the_parameters_are_those_that_the_handler_reads() -> None:
    listed = OPERATIONS["GET", "/v1/jobs"].parameters
    assert [each["name"] for each in listed] == [each.name for each in LIST_PARAMETERS]
    assert all(each["in"] == "query" and each["description"] for each in listed)
    by_name = {each["name"]: each for each in listed}
    assert by_name["limit"]["schema"]["maximum"] == 1000
    # A list is one parameter with commas in it.
    assert by_name["fields"]["explode"] is False
    assert "explode" not in by_name["user"]
