"""Hooks without a service, and a server that takes every event."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.hooks.receiving import Receiver
from tests.integration.hooks.running import Hooks


@pytest.fixture
def hooks(tmp_path: Path) -> Hooks:
    """Hooks without a service, and a controller that does not answer."""
    return Hooks(tmp_path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that takes every event."""
    running = Receiver()
    yield running
    running.stop()


@pytest.fixture
def job() -> dict[str, str]:
    """The environment of a small job's prolog, before 24.11."""
    return {
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_USER": "alice",
        "SLURM_NODELIST": "n1",
        "SLURMD_NODENAME": "n1",
        "SLURM_CLUSTER_NAME": "lab",
        "SLURM_JOB_RESTART_COUNT": "0",
    }
