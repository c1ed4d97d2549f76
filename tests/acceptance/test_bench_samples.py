"""Acceptance 4: the benchmark runs and says what it must. What it measures is for people to
judge."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "arguments",
    [
        ["--rounds", "1", "--batches", "1", "--seconds", "1"],
        pytest.param([], marks=[pytest.mark.long, pytest.mark.alone]),
    ],
    ids=["short", "full"],
)
def test_bench_samples(arguments: list[str]) -> None:
    """Both figures are printed, with what they are to be held against."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.samples", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    sys.stdout.write(done.stdout)
    assert re.search(r"^ratio \d+\.\d\d \(at least 0\.50\)$", done.stdout, re.MULTILINE)
    assert re.search(r"PostgreSQL: \d+\.\d\d ms \(at most 1\.50\)$", done.stdout, re.MULTILINE)
