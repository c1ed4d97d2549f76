"""Files of the drivers, in the shape that they have on real machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeagent.gpu.driver_files import (
    NvidiaFile,
    caps_instances,
    caps_major,
    drm_bus_id,
    nvidia_files,
)
from nodeagent.paths import Paths

INFORMATION = """Model: \t\t NVIDIA A100-SXM4-40GB
IRQ:   \t\t 214
GPU UUID: \t {uuid}
Video BIOS: \t 92.00.45.00.03
Bus Type: \t PCIe
DMA Size: \t 47 bits
DMA Mask: \t 0x7fffffffffff
Bus Location: \t {bus}
Device Minor: \t {minor}
GPU Firmware: \t 590.48.01
GPU Excluded:\t No
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "cgroup", tmp_path / "proc", tmp_path / "sys", tmp_path / "etc")


def write_gpu(paths: Paths, bus: str, uuid: str, minor: int) -> None:
    folder = paths.proc / "driver/nvidia/gpus" / bus
    folder.mkdir(parents=True)
    text = INFORMATION.format(uuid=uuid, bus=bus, minor=minor)
    (folder / "information").write_text(text)


def test_minor_numbers_are_what_the_driver_says(paths: Paths) -> None:
    write_gpu(paths, "0000:3b:00.0", "GPU-aaaa", 3)
    write_gpu(paths, "0000:af:00.0", "GPU-????????-????", 0)
    assert nvidia_files(paths) == [
        NvidiaFile("GPU-aaaa", 3, "0000:3b:00.0"),
        NvidiaFile(None, 0, "0000:af:00.0"),
    ]


def test_without_a_driver_there_is_nothing(paths: Paths) -> None:
    assert nvidia_files(paths) == []
    assert caps_major(paths) is None
    assert caps_instances(paths) == {}
    assert drm_bus_id(paths, 128) is None


def test_mig_capabilities(paths: Paths) -> None:
    folder = paths.proc / "driver/nvidia-caps"
    folder.mkdir(parents=True)
    text = "config 1\nmonitor 2\ngpu0/gi1/access 12\ngpu0/gi1/ci0/access 13\ngpu2/gi5/access 300\n"
    (folder / "mig-minors").write_text(text)
    (paths.proc / "devices").write_text("Character devices:\n195 nvidia\n234 nvidia-caps\n")
    assert caps_major(paths) == 234
    assert caps_instances(paths) == {12: (0, 1, None), 13: (0, 1, 0), 300: (2, 5, None)}


def test_a_render_node_leads_to_its_device(paths: Paths) -> None:
    device = paths.sys / "devices/pci0000:00/0000:83:00.0"
    render = device / "drm/renderD130"
    render.mkdir(parents=True)
    (render / "device").symlink_to(device)
    (paths.sys / "dev/char").mkdir(parents=True)
    (paths.sys / "dev/char/226:130").symlink_to(render)
    assert drm_bus_id(paths, 130) == "0000:83:00.0"
    assert drm_bus_id(paths, 129) is None
