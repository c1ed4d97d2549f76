"""What rocm-smi wrote on real machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeagent.gpu.child import Silent
from nodeagent.gpu.rocm_smi import RocmSmiSource, parse_devices

FIXTURES = Path(__file__).parents[3] / "fixtures" / "gpu"


def recorded(name: str) -> str:
    return (FIXTURES / f"rocm-smi-{name}.json").read_text()


def test_four_mi100() -> None:
    devices = list(parse_devices(recorded("mi100_rocm602")))
    assert [device.uuid for device in devices] == [
        "GPU-79ccd55167a2124a", "GPU-04edfb117a17a07d", "GPU-d4a9ec48d03d261d",
        "GPU-1b9dd972253c3736",
    ]  # fmt: skip
    assert [device.pci_bus_id for device in devices] == [
        "0000:83:00.0", "0000:a3:00.0", "0000:c3:00.0", "0000:e3:00.0",
    ]  # fmt: skip
    assert {device.ordinal for device in devices} == {None}
    assert dict(devices[0].gauges) == {
        "utilization_ratio": 0.0, "memory_used_bytes": 6750208.0,
        "memory_total_bytes": 34342961152.0, "power_w": 36.0, "power_limit_w": 290.0,
        "temperature_celsius": 53.0, "memory_temperature_celsius": 53.0, "sm_clock_hz": 3e8,
        "memory_clock_hz": 1.2e9,
    }  # fmt: skip
    assert devices[0].model == "Arcturus GL-XL [Instinct MI100]"


def test_a_card_without_unique_id_is_named_by_host_and_address() -> None:
    (device,) = parse_devices("WARNING: AMD GPU device(s) is/are in a low-power state.\n"
                              + recorded("rx6700xt_rocm612"))  # fmt: skip
    assert device.uuid.startswith("PCI-")
    assert device.gauges["memory_utilization_ratio"] == 0.0
    assert device.gauges["power_w"] == 6.0


def test_an_early_release() -> None:
    (device,) = parse_devices(recorded("vega-20-WKS-GL-XE"))
    assert device.pci_bus_id is not None
    assert device.gauges["memory_total_bytes"] > 2**33


def test_energy_where_it_is_counted() -> None:
    text = '{"card0": {"PCI Bus": "0000:01:00.0", "Accumulated Energy (uJ)": "7654321.0"}}'
    (device,) = parse_devices(text)
    assert device.counters == {"energy_j": 7654}
    assert device.gauges == {}


def test_a_tool_that_makes_no_sense() -> None:
    with pytest.raises(Silent, match="driver not initialized"):
        RocmSmiSource(1.0, lambda _: (2, "ERROR: driver not initialized")).read()


def test_the_source() -> None:
    survey = RocmSmiSource(1.0, lambda _: (0, recorded("mi100_rocm602"))).read()
    assert len(survey.devices) == 4
    assert survey.sources == ("rocm-smi",)
