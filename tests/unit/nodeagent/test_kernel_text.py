"""The formats that kernel files share."""

from __future__ import annotations

import pytest

from nodeagent.kernel_text import count_cpus, parse_flat, parse_pressure


def test_flat_keyed_lines() -> None:
    assert parse_flat("anon 5\nfile 0\n\nnot a number\nlow -1\nmax\n") == {"anon": 5, "file": 0}


@pytest.mark.parametrize(
    ("text", "count"), [("0-3,8\n", 5), ("0\n", 1), ("\n", 0), ("0-127", 128), ("0,2,4-5", 4)]
)
def test_cpu_lists(text: str, count: int) -> None:
    assert count_cpus(text) == count


def test_a_cpu_list_of_another_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid"):
        count_cpus("all")


def test_pressure_in_nanoseconds() -> None:
    text = (
        "some avg10=0.00 avg60=0.00 avg300=0.04 total=841314\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=202151\n"
    )
    assert parse_pressure(text) == {"some": 841_314_000, "full": 202_151_000}
    assert parse_pressure(text.splitlines()[0]) == {"some": 841_314_000}
    assert parse_pressure("") == {}
