from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tsobs.embedded.tuning import Machine, render, server_settings, this_machine

GB = 1 << 30
MACHINE = Machine(
    memory_bytes=16 * GB, cpus=4, free_disk_bytes=100 * GB, shm_bytes=8 * GB, has_time_zones=True
)


def settings(machine: Machine = MACHINE, *, durable: bool = True) -> dict[str, str]:
    return server_settings(machine, edition="apache", durable=durable)


@pytest.mark.parametrize(
    ("memory_gb", "shared_buffers"), [(0.25, "64MB"), (2, "256MB"), (16, "1024MB"), (512, "1024MB")]
)
def test_shared_buffers_are_at_most_a_quarter_of_memory(
    memory_gb: float, shared_buffers: str
) -> None:
    machine = replace(MACHINE, memory_bytes=int(memory_gb * GB))
    assert settings(machine)["shared_buffers"] == shared_buffers
    assert int(shared_buffers.removesuffix("MB")) <= memory_gb * 1024 / 4


def test_a_small_disk_gets_a_small_log() -> None:
    assert settings()["max_wal_size"] == "4096MB"
    assert settings(replace(MACHINE, free_disk_bytes=3 * GB))["max_wal_size"] == "307MB"
    assert settings(replace(MACHINE, free_disk_bytes=0))["max_wal_size"] == "256MB"


def test_little_shared_memory_is_gone_around() -> None:
    assert "dynamic_shared_memory_type" not in settings()
    assert settings(replace(MACHINE, shm_bytes=64 << 20))["dynamic_shared_memory_type"] == "mmap"


def test_without_time_zone_files_the_built_in_zone_is_taken() -> None:
    assert settings()["timezone"] == "UTC"
    assert settings(replace(MACHINE, has_time_zones=False))["timezone"] == "GMT"


def test_only_what_is_not_durable_gives_up_safety() -> None:
    assert not {"fsync", "full_page_writes"} & settings().keys()
    assert settings(durable=False)["fsync"] == "off"


def test_the_licence_follows_the_edition() -> None:
    assert settings()["timescaledb.license"] == "apache"
    community = server_settings(MACHINE, edition="community", durable=True)
    assert community["timescaledb.license"] == "timescale"
    assert community["timescaledb.telemetry_level"] == "off"


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_containers_limit_counts_as_memory(tmp_path: Path, name: str) -> None:
    unlimited = this_machine(tmp_path, cgroup=tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("max\n")
    assert this_machine(tmp_path, cgroup=tmp_path).memory_bytes == unlimited.memory_bytes
    path.write_text("268435456\n")
    assert this_machine(tmp_path, cgroup=tmp_path).memory_bytes == 256 << 20


def test_values_are_quoted() -> None:
    assert render({"a": "it's", "b": ""}) == "a = 'it''s'\nb = ''\n"
