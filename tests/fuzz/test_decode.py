"""Fuzzing of the decoders, from the kept corpus on, finds nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.sources import ROOT
from tests.unit.ingest.remotewrite.oracle import KERNELS, same_meaning

CORPUS = Path(__file__).parent / "decode_corpus"


def test_the_kept_corpus_means_what_protobuf_says() -> None:
    kept = sorted(CORPUS.iterdir())
    assert len(kept) > 20
    for path in kept:
        data = path.read_bytes()
        caches = [kernel.SeriesCache(4) for kernel in KERNELS]
        same_meaning(data[1:], 1 + (data[0] & 1), caches, {})


@pytest.mark.parametrize(
    "seconds",
    [20, pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(800)])],
)
def test_fuzzing_finds_nothing(seconds: int, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(CORPUS, corpus)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.decode", str(corpus), f"-max_total_time={seconds}",
         "-max_len=4096", "-timeout=20", "-rss_limit_mb=2000", "-print_final_stats=1",
         f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    # It did run, and not only the kept inputs.
    assert runs, done.stderr[-4000:]
    assert int(runs[1]) > 10 * len(list(CORPUS.iterdir()))
