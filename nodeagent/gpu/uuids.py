"""Names of AMD's devices that stay the same whichever tool tells of them."""

from __future__ import annotations

import os
import re

__all__ = ["amd_uuid"]

_SERIAL = re.compile(r"(?:0x)?([0-9a-fA-F]{1,16})\Z")


def amd_uuid(serial: object, uuid: object, bus: str | None) -> str:
    """Return `GPU-<16 hex digits>`, as ROCm's variables name it, from the serial number; without
    one the tool's UUID, else host and PCI address."""
    match = _SERIAL.match(serial) if isinstance(serial, str) else None
    if match and int(match[1], 16):
        return f"GPU-{int(match[1], 16):016x}"
    if isinstance(uuid, str) and uuid and uuid != "N/A":
        return uuid
    # A PCI address is there on every node.
    return f"PCI-{os.uname().nodename}-{bus}"
