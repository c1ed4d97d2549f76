"""Which block devices are hardware, so that one write through LVM, RAID or a loop is counted
once."""

from __future__ import annotations

import re

from nodeagent.paths import Paths

__all__ = ["is_disk", "is_stacked"]

# Used only where /sys does not tell (a recorded machine, some containers).
_DISK_NAME = re.compile(r"(?:[svh]d[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+|dasd[a-z]+)\Z")


def is_disk(paths: Paths, name: str) -> bool:
    """Tell whether a name in /proc/diskstats is a whole hardware disk: no partition, no dm, md,
    loop, zram."""
    blocks = paths.sys / "block"
    if not blocks.is_dir():
        return _DISK_NAME.match(name) is not None
    return (blocks / name.replace("/", "!") / "device").exists()


def is_stacked(paths: Paths, number: str) -> bool:
    """Tell whether device `major:minor` sits on other devices, whose I/O is counted there."""
    device = paths.sys / "dev" / "block" / number
    return device.exists() and not (device / "device").exists()
