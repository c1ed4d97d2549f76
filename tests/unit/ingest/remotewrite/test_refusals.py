from __future__ import annotations

from ingest.remotewrite.refusals import LISTED, Refusals


def test_nothing_refused() -> None:
    refusals = Refusals()
    assert not refusals
    assert len(refusals) == 0


def test_the_first_are_named_and_all_are_counted() -> None:
    refusals = Refusals()
    for n in range(LISTED + 3):
        assert refusals.is_full is (n >= LISTED)
        refusals.add(f"series {n}", "no metric name", 10)
    refusals.add("y" * 10_000, "too old")
    refusals.add_unnamed("too old", 5)
    refusals.add_unnamed("ahead", 0)
    assert refusals.counts == {"no metric name": 80, "too old": 6}
    error = refusals.error(7)
    assert error.status == 400
    assert error.message.startswith("86 refused, 7 stored: series 0: no metric name; series 1")
    assert error.message.endswith("; …")
    assert error.details["rule"] == "no metric name"
    assert len(error.details["refused"]) == LISTED
    assert error.details["refused"][0] == {
        "shown": "series 0", "rule": "no metric name", "amount": 10,
    }  # fmt: skip
    assert error.details["refused_by_rule"] == {"no metric name": 80, "too old": 6}


def test_a_series_without_samples_counts_as_one() -> None:
    refusals = Refusals()
    refusals.add("x", "no samples", 0)
    assert len(refusals) == 1
    assert refusals.error(0).message == "1 refused, 0 stored: x: no samples"


def test_what_is_shown_is_cut() -> None:
    refusals = Refusals()
    refusals.add("x" * 100_000, "too long")
    assert len(refusals.error(0).message) < 500
