from __future__ import annotations

import pytest

from tsobs.output import complain, say, table


def test_results_and_talk_go_apart(capsys: pytest.CaptureFixture[str]) -> None:
    say("result")
    complain("talk")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("result\n", "talk\n")


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert table(["id", "name"], [["1", "x"], ["22", "long one"]]) == (
        "id  name\n1   x\n22  long one"
    )
    assert table(["id"], []) == "id"
