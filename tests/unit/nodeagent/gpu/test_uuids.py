"""One name for a device, whichever tool tells of it."""

from __future__ import annotations

import os

import pytest

from nodeagent.gpu.uuids import amd_uuid


@pytest.mark.parametrize("serial", ["0x64AC21A676F77A5B", "64ac21a676f77a5b"])
def test_the_serial_number_names_it(serial: str) -> None:
    assert amd_uuid(serial, "other", "0000:01:00.0") == "GPU-64ac21a676f77a5b"


@pytest.mark.parametrize("serial", [None, "N/A", "0x0", "", "0x0000000000000000", 12])
def test_without_one_the_tools_uuid_or_the_address_on_this_host(serial: object) -> None:
    assert amd_uuid(serial, "7c-1", "0000:01:00.0") == "7c-1"
    assert amd_uuid(serial, "N/A", "0000:01:00.0") == f"PCI-{os.uname().nodename}-0000:01:00.0"
