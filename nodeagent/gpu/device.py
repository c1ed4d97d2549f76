"""One GPU, or one MIG instance of it, as a source found it; and all that was found in one look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Device", "Survey", "bus_id", "number"]


class Device(NamedTuple):
    """Who it is, and what it reports at this moment; None and absent columns: it does not say."""

    uuid: str
    vendor: str
    model: str | None
    pci_bus_id: str | None
    """As `bus_id` writes it; of a MIG instance, its device's."""
    minor: int | None
    """N of /dev/nvidiaN, as the driver says; of a MIG instance, its device's."""
    ordinal: int | None
    """The driver's own number for it, as its tools show it; it may be another after a boot."""
    memory_total_bytes: float | None
    parent_uuid: str | None = None
    instance: tuple[int, int] | None = None
    """GPU instance and compute instance, of a MIG instance."""
    compute_share: float | None = None
    """The instance's share of its device's compute slices, 0 to 1."""
    is_divided: bool = False
    """It is in MIG mode: jobs hold its instances, not itself."""
    counters: Mapping[str, int] = {}
    """By column; seconds in ns, energy in mJ, and `column|part` as in counters.py."""
    gauges: Mapping[str, float] = {}


class Survey(NamedTuple):
    """All devices at one moment (seconds since boot, unix seconds), and which source read them."""

    boot: float
    wall: float
    devices: tuple[Device, ...] = ()
    sources: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """What did not answer, in words."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**self._asdict(), "devices": [device._asdict() for device in self.devices]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Survey:
        """Return what `to_json` made; ValueError, TypeError or KeyError for anything else."""
        return cls(
            float(document["boot"]),
            float(document["wall"]),
            tuple(_device(item) for item in document["devices"]),
            tuple(map(str, document["sources"])),
            tuple(map(str, document["problems"])),
        )


def _device(item: Mapping[str, Any]) -> Device:
    device = Device(**item)
    if device.instance is None:
        return device
    gpu_instance, compute_instance = device.instance
    return device._replace(instance=(gpu_instance, compute_instance))


def bus_id(text: str) -> str | None:
    """Return a PCI address as the kernel writes it (`0000:3b:00.0`); None when it is none.

    NVIDIA's library writes 8 digits of domain and capitals, others leave the domain out.
    """
    parts = text.strip().lower().replace(".", ":").split(":")
    if len(parts) == 3:
        parts.insert(0, "0")
    try:
        domain, bus, slot, function = (int(part, 16) for part in parts)
    except ValueError:
        return None
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def number(text: object) -> float | None:
    """Return the number that a tool wrote, a unit behind it or not; None for `N/A` and the like."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        value = float(text)
    elif isinstance(text, str):
        words = text.split()
        try:
            value = float(words[0].rstrip("%")) if words else float("nan")
        except ValueError:
            return None
    else:
        return None
    return value if abs(value) < float("inf") else None
