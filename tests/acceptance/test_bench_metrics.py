"""The benchmark of /metrics runs, both renderers say the same, and it says what it must. What it
measures is for people to judge."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "arguments",
    [
        ["--rounds", "1", "--jobs", "500", "--scrapes", "3"],
        pytest.param([], marks=[pytest.mark.long, pytest.mark.alone]),
    ],
    ids=["short", "full"],
)
def test_bench_metrics(arguments: list[str]) -> None:
    """The figures are printed, with what they are to be held against."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.metrics", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    sys.stdout.write(done.stdout)
    for figure in (
        r"rendering ratio \d+\.\d \(at least 8\.0\)",
        r"scrape p95 \d+\.\d\d s \(at most 1\.50\)",
        r"two at once p95 \d+\.\d\d s each",
        r"event loop held for \d+ ms \(at most 50\), of which its own thread computed \d+ ms",
    ):
        assert re.search(f"^{figure}$", done.stdout, re.MULTILINE)
    found = re.search(r" ([\d,]+) series$", done.stdout, re.MULTILINE)
    assert found
    assert int(found[1].replace(",", "")) >= (150_000 if not arguments else 150_000 // 20)
