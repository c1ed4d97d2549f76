"""The structures are those of nvml.h; what a driver lacks has no value."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from nodeagent.gpu import nvml_library
from nodeagent.gpu.nvml_library import NvmlError, NvmlLibrary
from tests.fix_gpu import Standin, build_standin, gpu


@pytest.mark.parametrize(
    ("name", "size", "member", "offset"),
    [
        # sizeof and offsetof that gcc gives for github.com/NVIDIA/go-nvml's nvml.h of CUDA 13.
        ("_PciInfo", 68, "bus_id", 36),
        ("_Utilization", 8, "memory", 4),
        ("_Memory", 24, "used", 16),
        ("_MemoryV2", 40, "used", 32),
        ("_FieldValue", 40, "value", 32),
        ("_Sample", 16, "value", 8),
        ("_Attributes", 40, "compute_instance_slices", 28),
        ("_EventData", 32, "event_data", 16),
        ("_GpmMetric", 40, "value", 8),
        ("_GpmSupport", 8, "is_supported", 4),
    ],
)
def test_structures(name: str, size: int, member: str, offset: int) -> None:
    structure = getattr(nvml_library, name)
    assert ctypes.sizeof(structure) == size
    assert getattr(structure, member).offset == offset


def test_the_metrics_follow_the_two_samples() -> None:
    assert nvml_library._GpmMetricsGet.metrics.offset == 24


def test_a_library_that_is_not_there_or_does_not_start(standin: Standin) -> None:
    with pytest.raises(NvmlError, match="cannot open"):
        NvmlLibrary("/no/such/library.so")
    standin.write("init 9")
    with pytest.raises(NvmlError, match="Driver Not Loaded"):
        NvmlLibrary(str(standin.library))


def test_what_a_device_does_not_say_has_no_value(standin: Standin) -> None:
    standin.write("driver 1.2", gpu(0))
    library = NvmlLibrary(str(standin.library))
    assert library.device_count() == 1
    assert library.driver_version() == "1.2"
    device = library.device(0)
    assert library.uint("nvmlDeviceGetPowerUsage", device) is None
    assert library.uint("nvmlDeviceGetSomethingNew", device) is None
    assert library.count("nvmlDeviceGetTotalEnergyConsumption", device) is None
    assert library.memory(device) is None
    assert library.utilization(device) is None
    assert library.fields(device, {83: False, 138: True}) == {}
    assert library.samples(device, 1, 0) == []
    assert not library.has_gpm(device)
    with pytest.raises(NvmlError):
        library.device(1)


def test_an_older_driver_has_the_older_memory_call(standin: Standin, tmp_path: Path) -> None:
    standin.write(gpu(0, used=5, total=10))
    older = NvmlLibrary(str(build_standin(tmp_path, "-DOLD_DRIVER")))
    assert older.device_count() == 1
    assert older.memory(older.device(0)) == (5, 10)


def test_fields_of_other_widths(standin: Standin) -> None:
    standin.write(gpu(0, field82=61, field74=1 << 40, field138x=7))
    library = NvmlLibrary(str(standin.library))
    device = library.device(0)
    wanted = {82: False, 74: False, 138: True, 139: True}
    assert library.fields(device, wanted) == {82: 61, 74: 1 << 40, 138: 7}
