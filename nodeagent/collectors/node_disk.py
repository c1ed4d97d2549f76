"""Bytes read from and written to the node's hardware disks."""

from __future__ import annotations

from nodeagent.block_devices import is_disk
from nodeagent.collector import NoData, NodeCollector, Values
from nodeagent.counters import counter_key
from nodeagent.paths import Paths

__all__ = ["COLLECTOR", "parse_diskstats"]

# /proc/diskstats counts in 512-byte sectors whatever the disk's own sector size.
_SECTOR_BYTES = 512
_NAME, _READ_SECTORS, _WRITTEN_SECTORS = 2, 5, 9


def parse_diskstats(text: str) -> dict[str, tuple[int, int]]:
    """Return device → (bytes read, bytes written) of /proc/diskstats."""
    devices = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > _WRITTEN_SECTORS:
            devices[fields[_NAME]] = (
                int(fields[_READ_SECTORS]) * _SECTOR_BYTES,
                int(fields[_WRITTEN_SECTORS]) * _SECTOR_BYTES,
            )
    return devices


def _read(paths: Paths) -> Values:
    counters = {}
    for name, (read, written) in parse_diskstats(paths.read_proc("diskstats")).items():
        if is_disk(paths, name):
            counters[counter_key("node", "disk_read_bytes", name)] = read
            counters[counter_key("node", "disk_write_bytes", name)] = written
    if not counters:
        raise NoData("no hardware disk")
    return Values(counters, {})


COLLECTOR = NodeCollector("node_disk", "traffic of hardware disks (/proc/diskstats)", _read)
