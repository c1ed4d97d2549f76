"""Acceptance 5: the benchmark of events runs and says what it must."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "arguments",
    [
        ["--rounds", "1", "--stored", "2000", "--jobs", "50"],
        pytest.param([], marks=[pytest.mark.long, pytest.mark.alone]),
    ],
    ids=["short", "full"],
)
def test_bench_events(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.events", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    sys.stdout.write(done.stdout)
    assert re.search(r"^best: [\d,]+ events/s, p50 \d+ ms, p95 \d+ ms;", done.stdout, re.MULTILINE)
    assert re.search(r"^events committed: [\d,]+/s \(at least 1,000\)$", done.stdout, re.MULTILINE)
