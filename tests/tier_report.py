"""A pytest plugin: counts the outcomes, and in CI takes a skipped test for a failed one.

What a CI machine cannot have may be skipped there; anything else that is skipped went untested
without anybody noticing.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

MAY_BE_SKIPPED = ("GPU hardware", "Community edition")
COUNTS = "TSOBS_TEST_COUNTS"


class Report:
    """Outcomes of the whole run, as the process that collects them sees it."""

    def __init__(self, *, strict: bool, counts: Path | None) -> None:
        self._strict = strict
        self._counts = counts
        self._outcomes: Counter[str] = Counter(passed=0, failed=0, skipped=0)
        self._unexpected: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test."""
        if report.failed:
            self._outcomes["failed"] += 1
        elif hasattr(report, "wasxfail"):
            return
        elif report.skipped:
            self._outcomes["skipped"] += 1
            self._note_skip(report)
        elif report.when == "call":
            self._outcomes["passed"] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that is skipped as a whole."""
        if report.skipped:
            self._note_skip(report)

    def _note_skip(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        where = report.longrepr
        reason = str(where[2] if isinstance(where, tuple) else where).removeprefix("Skipped: ")
        if not reason.startswith(MAY_BE_SKIPPED):
            self._unexpected.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes the counts, and fails the run for what must not be skipped."""
        if self._counts is not None:
            self._counts.parent.mkdir(exist_ok=True)
            self._counts.write_text(json.dumps(dict(self._outcomes)))
        if self._strict and self._unexpected and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Says what must not be skipped."""
        if self._strict and self._unexpected:
            terminalreporter.section("skipped, which fails in CI", red=True)
            for line in self._unexpected:
                terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Only where all reports come together."""
    if not hasattr(config, "workerinput"):
        counts = os.environ.get(COUNTS)
        report = Report(
            strict=os.environ.get("CI", "").lower() in {"1", "true"},
            counts=Path(counts) if counts else None,
        )
        config.pluginmanager.register(report, "tsobs-tier-report")
