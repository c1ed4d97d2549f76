"""Server settings that fit this machine, modestly: it is not the database's alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "render", "server_settings", "this_machine"]

MB = 1 << 20
GB = 1 << 30
# Below this much shared memory (containers often have 64 MB) parallel queries would fail.
ROOMY_SHM_BYTES = 256 * MB
TIMESCALEDB_WORKERS = 16
CGROUP_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the server may use; sizes in bytes."""

    memory_bytes: int
    cpus: int
    free_disk_bytes: int
    shm_bytes: int
    has_time_zones: bool


def this_machine(data_dir: Path, *, cgroup: Path = Path("/sys/fs/cgroup")) -> Machine:
    """Read this host, and the limits of the container that we may be in."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in CGROUP_LIMITS:
        try:
            memory_bytes = min(memory_bytes, int((cgroup / name).read_text()))
        except (OSError, ValueError):
            continue  # no such limit, or `max`
    shm = Path("/dev/shm")
    return Machine(
        memory_bytes=memory_bytes,
        cpus=len(os.sched_getaffinity(0)),
        free_disk_bytes=shutil.disk_usage(data_dir).free,
        shm_bytes=shutil.disk_usage(shm).total if shm.is_dir() else 0,
        has_time_zones=Path("/usr/share/zoneinfo/UTC").exists(),
    )


def server_settings(machine: Machine, *, edition: str, durable: bool) -> dict[str, str]:
    """Settings by name; `durable=False` gives up safety against a crash of the machine."""
    workers = max(2, min(machine.cpus, 8))
    # GMT alone is built in; anything else is read from files that a minimal system lacks.
    zone = "UTC" if machine.has_time_zones else "GMT"
    settings = {
        "shared_preload_libraries": "timescaledb",
        "timescaledb.telemetry_level": "off",
        "timescaledb.license": "timescale" if edition == "community" else "apache",
        "timescaledb.max_background_workers": str(TIMESCALEDB_WORKERS),
        "max_connections": "100",
        "max_worker_processes": str(3 + TIMESCALEDB_WORKERS + workers),
        "max_parallel_workers": str(workers),
        # A query over many chunks locks each of them and its indexes.
        "max_locks_per_transaction": "256",
        "shared_buffers": _megabytes(machine.memory_bytes // 8, 64 * MB, GB),
        "effective_cache_size": _megabytes(machine.memory_bytes // 2, 128 * MB, 64 * GB),
        "maintenance_work_mem": _megabytes(machine.memory_bytes // 32, 32 * MB, 512 * MB),
        "work_mem": _megabytes(machine.memory_bytes // 512, 4 * MB, 32 * MB),
        "max_wal_size": _megabytes(machine.free_disk_bytes // 10, 256 * MB, 4 * GB),
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": zone,
        "log_timezone": zone,
        "logging_collector": "on",
        "log_directory": "../log",
        # A file a weekday, begun anew each week: the log stays bounded.
        "log_filename": "postgresql-%a.log",
        "log_rotation_age": "1d",
        "log_truncate_on_rotation": "on",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] %a %d ",
    }
    if machine.shm_bytes < ROOMY_SHM_BYTES:
        settings["dynamic_shared_memory_type"] = "mmap"
    if not durable:
        # A killed server still loses nothing: what is committed is with the kernel.
        settings |= {"fsync": "off", "full_page_writes": "off"}
    return settings


def _megabytes(wanted: int, least: int, most: int) -> str:
    return f"{min(max(wanted, least), most) // MB}MB"


def render(settings: Mapping[str, str]) -> str:
    """The text of a configuration file."""
    lines = [
        f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()
    ]
    return "\n".join(lines) + "\n"
