"""The benchmark of the agent runs and says what it must."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.root
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "arguments",
    [
        ["--jobs", "12", "--rounds", "2", "--interval", "1"],
        pytest.param([], marks=[pytest.mark.long, pytest.mark.alone]),
    ],
    ids=["short", "full"],
)
def test_bench_agent(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.agent", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    sys.stdout.write(done.stdout)
    for version in ("v1", "v2"):
        line = rf"^{version}: \d+ ms a round .*; prometheus-node-exporter \d+ ms a scrape, \d+ MB$"
        assert re.search(line, done.stdout, re.MULTILINE)
        assert re.search(
            rf"^{version}, four times the jobs: [\d.]+ times", done.stdout, re.MULTILINE
        )
