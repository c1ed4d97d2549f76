"""Hardware disks are told from what is stacked on them."""

from __future__ import annotations

from nodeagent.block_devices import is_disk, is_stacked
from tests.unit.nodeagent.conftest import Machine


def test_sysfs_tells_a_disk_by_its_device(machine: Machine) -> None:
    machine.write("sys/block/sda/device/model", "x")
    machine.write("sys/block/cciss!c0d0/device/model", "x")
    machine.write("sys/block/dm-0/dm/name", "x")
    assert is_disk(machine.paths, "sda")
    assert is_disk(machine.paths, "cciss/c0d0")
    assert not is_disk(machine.paths, "dm-0")
    assert not is_disk(machine.paths, "sda1")


def test_without_sysfs_the_name_tells(machine: Machine) -> None:
    disks = ["sda", "vdb", "nvme0n1", "mmcblk0", "sdaa"]
    others = ["sda1", "nvme0n1p2", "dm-0", "md0", "loop0", "zram0", "sr0", "nvme0c0n1"]
    assert [name for name in disks + others if is_disk(machine.paths, name)] == disks


def test_a_device_on_other_devices_is_stacked_and_an_unknown_one_is_not(machine: Machine) -> None:
    machine.write("sys/dev/block/8:0/device/model", "x")
    machine.write("sys/dev/block/253:0/dm/name", "x")
    assert not is_stacked(machine.paths, "8:0")
    assert is_stacked(machine.paths, "253:0")
    assert not is_stacked(machine.paths, "9:9")
