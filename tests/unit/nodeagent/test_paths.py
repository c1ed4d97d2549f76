"""The roots of what the agent reads."""

from __future__ import annotations

import pytest

from nodeagent.paths import Paths
from tests.unit.nodeagent.conftest import Machine


def test_proc_is_read_below_its_root(machine: Machine) -> None:
    machine.write("proc/loadavg", "0.1 0.2 0.3 1/2 3\n")
    assert machine.paths.read_proc("loadavg").startswith("0.1")
    with pytest.raises(FileNotFoundError):
        machine.paths.read_proc("nothing")


def test_by_default_it_is_this_machine() -> None:
    assert Paths().read_proc("uptime")
