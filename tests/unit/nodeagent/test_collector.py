"""The frame: one failing collector never stops the others."""

from __future__ import annotations

import logging

import pytest

from nodeagent.collector import Frame, NoData, NodeCollector, Values
from nodeagent.paths import Paths


def collector(name: str, failure: Exception | None = None) -> NodeCollector:
    def read(_paths: Paths) -> Values:
        if failure is not None:
            raise failure
        return Values({}, {"load1": 1.0})

    return NodeCollector(name, "", read)


def test_a_failing_collector_is_logged_counted_and_the_next_one_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame = Frame()
    bad, good = collector("bad", ZeroDivisionError("x")), collector("good")
    assert [frame.read_node(item, Paths()) for item in (bad, good)] == [
        None,
        Values({}, {"load1": 1.0}),
    ]
    assert "collector bad failed: x" in caplog.text
    report = frame.report()
    assert report["bad"][:2] == (1, 1)
    assert report["good"][:2] == (1, 0)
    assert report["good"][2] >= 0


def test_a_collector_that_fails_every_second_is_not_logged_every_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame = Frame()
    for _ in range(5):
        frame.read_node(collector("bad", OSError(5, "I/O error")), Paths())
    assert len(caplog.records) == 1
    assert frame.report()["bad"][1] == 5


@pytest.mark.parametrize("nothing", [NoData("no PSI"), FileNotFoundError(2, "gone")])
def test_no_data_is_no_failure(nothing: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    frame = Frame()
    assert frame.read_node(collector("quiet", nothing), Paths()) is None
    assert frame.report()["quiet"][:2] == (1, 0)
    assert not caplog.records


def test_a_disabled_collector_does_not_run() -> None:
    frame = Frame(["off"])
    assert frame.read_node(collector("off", ZeroDivisionError()), Paths()) is None
    assert not frame.enabled("off")
    assert frame.enabled("on")
    assert frame.report() == {}
