"""The driver's real library beside its own tool, where the machine has an NVIDIA GPU."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from nodeagent.gpu.device import Survey
from nodeagent.gpu.nvidia_smi import parse_query
from nodeagent.gpu.reader import GpuReader
from nodeagent.paths import Paths

pytestmark = pytest.mark.skipif(
    shutil.which("nvidia-smi") is None or not Path("/proc/driver/nvidia/version").exists(),
    reason="GPU hardware: no NVIDIA driver on this machine",
)
FIELDS = "index,uuid,name,pci.bus_id,mig.mode.current,memory.total,power.draw,temperature.gpu"


def look(reader: GpuReader) -> Survey:
    reader.ask()
    survey = reader.answer(30)
    assert survey is not None
    return survey


def test_the_library_says_what_the_tool_says() -> None:
    reader = GpuReader(Paths(), None)
    try:
        before = look(reader)
        time.sleep(2)
        after = look(reader)
    finally:
        reader.close()
    command = ["nvidia-smi", f"--query-gpu={FIELDS}", "--format=csv"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    tool = {device.uuid: device for device in parse_query(told)}
    whole = {device.uuid: device for device in after.devices if device.parent_uuid is None}
    assert after.sources[0].startswith("NVML")
    assert after.problems == ()
    assert whole.keys() == tool.keys()
    old = {device.uuid: device for device in before.devices}
    for uuid, device in whole.items():
        said = tool[uuid]
        assert (device.model, device.pci_bus_id) == (said.model, said.pci_bus_id)
        assert device.is_divided == said.is_divided
        assert Path(f"/dev/nvidia{device.minor}").exists()
        if said.memory_total_bytes and device.memory_total_bytes:
            assert abs(device.memory_total_bytes - said.memory_total_bytes) < 2**21
        for column, most in (("power_w", 100), ("temperature_celsius", 10)):
            if column in said.gauges:
                assert abs(device.gauges[column] - said.gauges[column]) < most
        if "energy_j" in device.counters:
            used_j = (device.counters["energy_j"] - old[uuid].counters["energy_j"]) / 1000
            seconds = after.boot - before.boot
            assert 0 < used_j < 1500 * seconds
        assert all(0 <= n <= 1 for name, n in device.gauges.items() if name.endswith("_ratio"))
