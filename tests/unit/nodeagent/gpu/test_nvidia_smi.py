"""What nvidia-smi wrote on real machines, and what it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeagent.gpu.child import Silent
from nodeagent.gpu.nvidia_smi import NvidiaSmiSource, parse_instances, parse_query

FIXTURES = Path(__file__).parents[3] / "fixtures" / "gpu"


def recorded(name: str) -> str:
    return (FIXTURES / f"nvidia-smi-{name}").read_text()


def test_an_h100_under_load() -> None:
    (device,) = parse_query(recorded("h100-590.48.01.csv"))
    assert (device.vendor, device.model) == ("nvidia", "NVIDIA H100 80GB HBM3")
    assert (device.pci_bus_id, device.ordinal, device.minor) == ("0000:00:09.0", 0, None)
    assert dict(device.gauges) == {
        "utilization_ratio": 1.0, "memory_utilization_ratio": 0.11, "encoder_ratio": 0.0,
        "decoder_ratio": 0.0, "memory_used_bytes": 19818 * 2**20,
        "memory_total_bytes": 81559 * 2**20, "power_w": 631.95, "power_limit_w": 700.0,
        "temperature_celsius": 59.0, "memory_temperature_celsius": 54.0, "sm_clock_hz": 1.98e9,
        "memory_clock_hz": 2.619e9,
    }  # fmt: skip
    assert device.counters["ecc_corrected_errors"] == 0


def test_a_card_without_ecc_says_nothing_of_it() -> None:
    (device,) = parse_query(recorded("rtx2080super-595.71.05.csv"))
    assert not [name for name in device.counters if name.startswith("ecc")]
    assert "memory_temperature_celsius" not in device.gauges
    assert device.gauges["fan_ratio"] == 0.38
    assert device.counters["throttled_power_s|limit"] == 221_310_321_000


def test_a_card_that_encodes() -> None:
    (device,) = parse_query(recorded("l40s-595.80.csv"))
    assert device.gauges["encoder_ratio"] == 0.6
    assert device.counters["throttled_power_s|limit"] == 204_642_816_000


def test_a_device_in_mig_mode_and_its_instances() -> None:
    (device,) = parse_query(recorded("h100-mig-590.48.01.csv"))
    assert device.is_divided
    assert device.gauges["power_w"] == 433.78
    assert not {"memory_used_bytes", "utilization_ratio", "encoder_ratio"} & device.gauges.keys()
    instances = list(parse_instances(recorded("h100-mig-590.48.01.list.txt"), [device]))
    assert [instance.model for instance in instances] == [
        "NVIDIA H100 80GB HBM3 MIG 3g.40gb", "NVIDIA H100 80GB HBM3 MIG 2g.20gb",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
    ]  # fmt: skip
    assert {instance.parent_uuid for instance in instances} == {device.uuid}
    assert len({instance.uuid for instance in instances}) == 4
    assert all(not instance.gauges and not instance.counters for instance in instances)


@pytest.mark.parametrize("word", ["[GPU is lost]", "[Unknown Error]", "[N/A]", "[Not Supported]"])
def test_a_lost_gpu_has_no_values(word: str) -> None:
    header, line = recorded("h100-590.48.01.csv").splitlines()
    kept = {"uuid", "name", "pci.bus_id", "index"}
    cells = [
        value if name.partition(" [")[0] in kept else word
        for name, value in zip(header.split(", "), line.split(", "), strict=True)
    ]
    (device,) = parse_query(f"{header}\n{', '.join(cells)}\n")
    assert device.gauges == {}
    assert device.counters == {}


@pytest.mark.parametrize(
    "text", ["", "\n", "No devices were found\n", "uuid, name\n", "uuid, name\nGPU-1\n"]
)
def test_no_devices(text: str) -> None:
    assert list(parse_query(text)) == []


class Tool:
    """Answers as an older nvidia-smi does: nothing at all for one field that it does not know."""

    def __init__(self, unknown: set[str]) -> None:
        self.unknown = unknown
        self.calls: list[list[str]] = []

    def __call__(self, arguments: list[str]) -> tuple[int, str]:
        self.calls.append(arguments)
        fields = arguments[1].partition("=")[2].split(",")
        for field in fields:
            if field in self.unknown:
                return 2, f'Field "{field}" is not a valid field to query.\n'
        values = {"uuid": "GPU-00000001-aaaa", "power.draw": "70.5 W"}
        row = ", ".join(values.get(field, "[N/A]") for field in fields)
        return 0, f"{', '.join(fields)}\n{row}\n"


def test_an_older_tool_is_asked_for_what_it_knows() -> None:
    tool = Tool({"clocks_event_reasons_counters.sw_power_cap", "temperature.memory"})
    source = NvidiaSmiSource(1.0, tool)
    (device,) = source.read().devices
    assert dict(device.gauges) == {"power_w": 70.5}
    calls = len(tool.calls)
    source.read()
    assert len(tool.calls) == calls + 1


def test_a_tool_that_fails_says_why() -> None:
    failing = "Failed to initialize NVML: Driver/library version mismatch\n"
    with pytest.raises(Silent, match="version mismatch"):
        NvidiaSmiSource(1.0, lambda _: (18, failing)).read()
