"""What the drivers' own files say of minor numbers, PCI addresses and MIG capabilities."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from nodeagent.gpu.device import bus_id
from nodeagent.paths import Paths

__all__ = ["NvidiaFile", "caps_instances", "caps_major", "drm_bus_id", "nvidia_files"]

_LINE = re.compile(r"^([^:\n]+):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_CAPS_MAJOR = re.compile(r"^ *(\d+) nvidia-caps$", re.MULTILINE)
_CAPS_LINE = re.compile(r"^gpu(\d+)/gi(\d+)(?:/ci(\d+))?/access (\d+)$", re.MULTILINE)


class NvidiaFile(NamedTuple):
    """One device as NVIDIA's kernel module tells of it."""

    uuid: str | None
    minor: int | None
    pci_bus_id: str | None


def nvidia_files(paths: Paths) -> list[NvidiaFile]:
    """Return the devices of /proc/driver/nvidia/gpus/*/information."""
    found = []
    for path in sorted((paths.proc / "driver/nvidia/gpus").glob("*/information")):
        fields = dict(_LINE.findall(_text(path)))
        uuid, minor = fields.get("GPU UUID", ""), fields.get("Device Minor", "")
        found.append(
            NvidiaFile(
                # A device whose firmware did not come up has question marks in place of digits.
                uuid if uuid.startswith("GPU-") and "?" not in uuid else None,
                int(minor) if minor.isdigit() else None,
                bus_id(fields.get("Bus Location", path.parent.name)),
            )
        )
    return found


def caps_major(paths: Paths) -> int | None:
    """Return the major number of /dev/nvidia-caps/*; None where there is no MIG."""
    match = _CAPS_MAJOR.search(_text(paths.proc / "devices"))
    return int(match[1]) if match else None


def caps_instances(paths: Paths) -> dict[int, tuple[int, int, int | None]]:
    """Return minor of /dev/nvidia-caps → (device's minor, GPU instance, compute instance; None for
    the right to the GPU instance)."""
    return {
        int(cap): (int(gpu), int(gpu_instance), int(compute) if compute else None)
        for gpu, gpu_instance, compute, cap in _CAPS_LINE.findall(
            _text(paths.proc / "driver/nvidia-caps/mig-minors")
        )
    }


def drm_bus_id(paths: Paths, minor: int) -> str | None:
    """Return the PCI address behind /dev/dri/cardN or renderDN, by its minor number."""
    try:
        device = (paths.sys / f"dev/char/226:{minor}/device").resolve(strict=True)
    except OSError:
        return None
    return bus_id(device.name)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
