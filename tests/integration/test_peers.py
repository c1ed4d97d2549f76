"""Peers come from the archive, run, and one that is too old is refused by name."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peerprocess import metric_sum
from tests.peers import PEERS
from tsobs.errors import SetupError


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PEERS)
def test_it_runs(peer_program: Callable[[str], Path], name: str) -> None:
    program = peer_program(name)
    # The Go programs of VictoriaMetrics know `-help`, the others `--help`, and both answer.
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    assert "--help" in done.stdout + done.stderr or "-http" in done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_one_that_is_too_old_is_refused() -> None:
    peer = dataclasses.replace(PEERS["prometheus-2.42"], minimum=(99, 0))
    with pytest.raises(SetupError, match=r"prometheus 99\.0 or newer is wanted of .*bookworm"):
        peer.path()


def test_metrics_are_summed_by_pattern() -> None:
    page = b'# HELP a_total x\na_total{x="1"} 2\na_total{x="2"} 3.5e1\nb_total 7\na_totals 1\n'
    assert metric_sum(page, r"a_total\S*") == 38
    assert metric_sum(page, r"a_total\{[^}]*\}") == 37
    assert metric_sum(page, r"(b|c)_total") == 7
    assert metric_sum(page, "absent") == 0
