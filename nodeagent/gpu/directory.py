"""From any name that an allocation gives a GPU to its UUID, only through what the driver says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nodeagent.gpu.device import Device, bus_id
from nodeagent.gpu.driver_files import caps_instances, caps_major, drm_bus_id, nvidia_files
from nodeagent.paths import Paths

__all__ = ["Directory"]

_NVIDIA_MAJOR, _DRM_MAJOR = 195, 226
# /dev/nvidia0 … 247; above are nvidiactl, nvidia-modeset and what is to come.
_NVIDIA_MINORS = range(248)
_RENDER_NODES = 128
_OLD_MIG = re.compile(r"MIG-(GPU-[0-9a-f-]+)/(\d+)/(\d+)\Z")
_SHORTEST_PREFIX = 8


class Directory:
    """The devices of one look, by each of their names; what fits none, or two, is nobody's name."""

    def __init__(self, paths: Paths, devices: Sequence[Device]) -> None:
        self._paths = paths
        self.devices = {device.uuid: device for device in devices}
        whole = [device for device in devices if device.parent_uuid is None]
        self._by_bus = _only((device.pci_bus_id, device.uuid) for device in whole)
        minors: list[tuple[object, str]] = [(d.minor, d.uuid) for d in whole]
        for file in nvidia_files(paths) if any(d.vendor == "nvidia" for d in whole) else ():
            uuid = file.uuid or self._by_bus.get(file.pci_bus_id)
            if uuid is not None and uuid in self.devices:
                minors.append((file.minor, uuid))
        self._by_minor = _only(minors)
        self._by_index = _only((d.ordinal, d.uuid) for d in whole if d.vendor == "nvidia")
        self._by_instance = {(d.parent_uuid, d.instance): d.uuid for d in devices if d.instance}

    def named(self, text: str) -> str | None:
        """Return the device with this UUID (or the beginning of one, as CUDA takes it) or PCI
        address."""
        if text in self.devices:
            return text
        old = _OLD_MIG.match(text)
        if old:
            return self._by_instance.get((old[1], (int(old[2]), int(old[3]))))
        if text.startswith(("GPU-", "MIG-")) and len(text) >= _SHORTEST_PREFIX:
            found = [uuid for uuid in self.devices if uuid.startswith(text)]
            return found[0] if len(found) == 1 else None
        return self._by_bus.get(bus_id(text))

    def numbered(self, number: int) -> str | None:
        """Return the device of a number of Slurm's, which is that of its file: /dev/nvidiaN,
        /dev/dri/renderDN or cardN. A device in MIG mode is none: there Slurm counts otherwise."""
        nvidia = self._whole(self._by_minor.get(number)) if number < _RENDER_NODES else None
        amd = self._of_vendor(self._drm(number), "amd")
        if nvidia is not None and amd is not None:
            # With both vendors on a node a small number could be either's.
            return None
        return nvidia or amd

    def indexed(self, name: str) -> str | None:
        """Return the device that NVIDIA's tools show as `3`, or its GPU instance `3.1`."""
        index, _, instance = name.partition(".")
        if not index.isdigit() or (instance and not instance.isdigit()):
            return None
        uuid = self._by_index.get(int(index))
        if not instance:
            return self._whole(uuid)
        found = [
            mig
            for (parent, ids), mig in self._by_instance.items()
            if parent == uuid and ids[0] == int(instance)
        ]
        return found[0] if len(found) == 1 else None

    def allowed(self, files: Iterable[tuple[int, int]]) -> frozenset[str]:
        """Return the devices that device files (major, minor) open."""
        files = list(files)
        found = set()
        caps = {minor for major, minor in files if major == caps_major(self._paths)}
        for major, minor in files:
            uuid = None
            if major == _NVIDIA_MAJOR and minor in _NVIDIA_MINORS:
                uuid = self._by_minor.get(minor)
            elif major == _DRM_MAJOR:
                uuid = self._of_vendor(self._drm(minor), "amd")
            if uuid is None:
                continue
            if self.devices[uuid].is_divided:
                found |= self._instances(uuid, minor, caps)
            else:
                found.add(uuid)
        return frozenset(found)

    def _instances(self, uuid: str, minor: int, caps: set[int]) -> set[str]:
        """Both rights are needed: to the GPU instance, and to the compute instance in it."""
        rights = {right for cap, right in caps_instances(self._paths).items() if cap in caps}
        found = set()
        for (parent, ids), mig in self._by_instance.items():
            if parent != uuid:
                continue
            if {(minor, ids[0], None), (minor, ids[0], ids[1])} <= rights:
                found.add(mig)
        return found

    def _drm(self, minor: int) -> str | None:
        return self._by_bus.get(drm_bus_id(self._paths, minor))

    def _whole(self, uuid: str | None) -> str | None:
        return uuid if uuid is not None and not self.devices[uuid].is_divided else None

    def _of_vendor(self, uuid: str | None, vendor: str) -> str | None:
        return uuid if uuid is not None and self.devices[uuid].vendor == vendor else None


def _only(pairs: Iterable[tuple[object, str]]) -> dict[object, str]:
    """Join names and UUIDs; what two devices are said to bear is no name."""
    found: dict[object, str] = {}
    doubtful = set()
    for name, uuid in pairs:
        if name is not None and found.setdefault(name, uuid) != uuid:
            doubtful.add(name)
    return {name: uuid for name, uuid in found.items() if name not in doubtful}
