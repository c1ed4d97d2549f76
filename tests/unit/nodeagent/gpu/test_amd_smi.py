"""What amd-smi wrote on real machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nodeagent.gpu.amd_smi import AmdSmiSource, parse_metric, parse_static
from nodeagent.gpu.child import Silent

FIXTURES = Path(__file__).parents[3] / "fixtures" / "gpu"


def recorded(name: str) -> str:
    return (FIXTURES / f"amd-smi-{name}.json").read_text()


def test_four_devices_by_serial_number_and_address() -> None:
    devices = parse_static(recorded("26.2.1-static"))
    assert [device.uuid for device in devices.values()] == [
        "GPU-64ac21a676f77a5b", "GPU-10db7231938f80d6", "GPU-e9ed4857e8792af2",
        "GPU-10c90cdc05825aae",
    ]  # fmt: skip
    assert [device.pci_bus_id for device in devices.values()] == [
        "0000:03:00.0", "0000:23:00.0", "0000:83:00.0", "0000:c3:00.0",
    ]  # fmt: skip
    assert {device.model for device in devices.values()} == {"AMD Radeon AI PRO R9700"}
    assert devices[0].memory_total_bytes == 32624 * 2**20
    assert devices[0].gauges == {"power_limit_w": 300.0}


def test_errors_are_joined_by_the_tools_number_not_by_place() -> None:
    devices = parse_static(recorded("26.2.1-static"))
    document = json.loads(recorded("26.2.1-metric-ecc"))
    document["gpu_data"].reverse()
    document["gpu_data"][0]["ecc"]["total_correctable_count"] = 5
    read = {device.uuid: device for device in parse_metric(json.dumps(document), devices)}
    assert read["GPU-10c90cdc05825aae"].counters["ecc_corrected_errors"] == 5
    assert read["GPU-64ac21a676f77a5b"].counters["ecc_corrected_errors"] == 0
    assert read["GPU-10c90cdc05825aae"].gauges == {"power_limit_w": 300.0}


def test_the_older_form_and_a_card_that_counts_no_energy() -> None:
    devices = parse_static(recorded("rx6600-static"), "[]")
    (device,) = parse_metric(recorded("rx6600-metric"), devices)
    assert device.uuid.startswith("PCI-")
    assert device.uuid.endswith("-0000:0b:00.0")
    assert dict(device.gauges) == {
        "power_limit_w": 100.0, "utilization_ratio": 0.01, "memory_utilization_ratio": 0.0,
        "memory_used_bytes": 202 * 2**20, "memory_total_bytes": 8176 * 2**20, "power_w": 6.0,
        "temperature_celsius": 36.0, "memory_temperature_celsius": 32.0, "sm_clock_hz": 8e8,
        "memory_clock_hz": 5.41e8, "fan_ratio": 0.0,
    }  # fmt: skip
    assert device.counters == {"ecc_corrected_errors": 0, "ecc_uncorrected_errors": 0}


def test_partitions_of_one_device_are_told_apart() -> None:
    entry = {"asic": {"asic_serial": "0x1A"}, "bus": {"bdf": "0000:05:00.0"}}
    static = json.dumps([{"gpu": n, **entry} for n in range(2)])
    listed = json.dumps([{"gpu": n, "uuid": f"uuid-{n}"} for n in range(2)])
    assert [device.uuid for device in parse_static(static, listed).values()] == ["uuid-0", "uuid-1"]


def test_absent_values_stay_absent() -> None:
    devices = parse_static(recorded("26.2.1-static"))
    words = {"usage": "N/A", "power": {"socket_power": "N/A"}, "temperature": {"edge": "N/A"}}
    metric = json.dumps({"gpu_data": [{"gpu": 0, **words}, {"gpu": 9}, "odd"]})
    (device,) = parse_metric(metric, devices)
    assert device.gauges == {"power_limit_w": 300.0}
    assert device.counters == {}


def test_the_source_asks_who_there_is_once() -> None:
    asked: list[str] = []

    def run(arguments: list[str]) -> tuple[int, str]:
        asked.append(arguments[1])
        texts = {"static": recorded("26.2.1-static"), "list": "[]"}
        return 0, texts.get(arguments[1], recorded("26.2.1-metric-ecc"))

    source = AmdSmiSource(1.0, run)
    assert len(source.read().devices) == 4
    assert len(source.read().devices) == 4
    assert asked == ["static", "list", "metric", "metric"]


@pytest.mark.parametrize("text", ["", "amdgpu not loaded", "{}", "3"])
def test_a_tool_that_makes_no_sense(text: str) -> None:
    with pytest.raises(Silent, match="static ended with 1"):
        AmdSmiSource(1.0, lambda _: (1, text)).read()
