"""Devices and MIG instances through the stand-in library."""

from __future__ import annotations

import pytest

from nodeagent.gpu.device import Device
from nodeagent.gpu.nvml import NvmlSource
from nodeagent.gpu.nvml_library import NvmlError, NvmlLibrary
from tests.fix_gpu import Standin, gpu, mig, uuid_of

FULL = {
    "util": 80, "mutil": 40, "used": 1 << 30, "total": 80 << 30, "power": 350_500, "limit": 700_000,
    "temp": 51, "smclock": 1980, "memclock": 2619, "fan": 120, "enc": 3, "dec": 4, "energy": 12_345,
    "corrected": 7, "uncorrected": 1, "field74": 5, "field82": 60, "field138x": 2, "field139x": 3,
    "field269": 8, "field270": 9, "field271": 6, "xids": 4, "mig": 0,
}  # fmt: skip


def source(standin: Standin) -> NvmlSource:
    return NvmlSource(NvmlLibrary(str(standin.library)))


def by_uuid(devices: tuple[Device, ...]) -> dict[str, Device]:
    return {device.uuid: device for device in devices}


def test_a_device_with_all_it_can_say(standin: Standin) -> None:
    standin.write("driver 590.48.01", gpu(1, minor=5, **FULL))
    survey = source(standin).read()
    (device,) = survey.devices
    assert survey.sources == ("NVML (driver 590.48.01)",)
    assert survey.problems == ()
    assert (device.uuid, device.minor, device.pci_bus_id) == (uuid_of(1), 5, "0000:11:00.0")
    assert (device.vendor, device.model) == ("nvidia", "NVIDIA H100")
    assert device.memory_total_bytes == 80 << 30
    assert dict(device.gauges) == {
        "utilization_ratio": 0.8, "memory_utilization_ratio": 0.4, "memory_used_bytes": 1 << 30,
        "memory_total_bytes": 80 << 30, "power_w": 350.5, "power_limit_w": 700.0,
        "temperature_celsius": 51, "memory_temperature_celsius": 60, "sm_clock_hz": 1.98e9,
        "memory_clock_hz": 2.619e9, "fan_ratio": 1.0, "encoder_ratio": 0.03, "decoder_ratio": 0.04,
    }  # fmt: skip
    counters = {key.partition("|")[0]: 0 for key in device.counters}
    for key, value in device.counters.items():
        counters[key.partition("|")[0]] += value
    assert counters == {
        "energy_j": 12_345, "ecc_corrected_errors": 7, "ecc_uncorrected_errors": 1,
        "throttled_power_s": 11, "throttled_thermal_s": 17, "xid_errors": 0,
        "nvlink_tx_bytes": 2048, "nvlink_rx_bytes": 3072,
    }  # fmt: skip


def test_a_device_that_says_nothing_has_no_values(standin: Standin) -> None:
    standin.write(gpu(1))
    (device,) = source(standin).read().devices
    assert device.counters == {}
    assert device.gauges == {}
    assert device.memory_total_bytes is None


def test_older_chips_count_heat_in_one(standin: Standin) -> None:
    standin.write(gpu(1, field75=4, field269=1))
    (device,) = source(standin).read().devices
    assert device.counters == {"throttled_thermal_s|any": 4}


@pytest.mark.parametrize("how", ["fallen", "lost"])
def test_a_lost_gpu_is_told_and_the_others_are_read(standin: Standin, how: str) -> None:
    standin.write(gpu(0, power=1000), gpu(1, power=1000, **{how: 1}), gpu(2, power=1000))
    survey = source(standin).read()
    assert [device.uuid for device in survey.devices] == [uuid_of(0), uuid_of(2)]
    assert survey.problems == ("NVIDIA GPU 1 is lost",)


def test_a_driver_that_went_away_fails_as_a_whole(standin: Standin) -> None:
    standin.write(gpu(0))
    reading = source(standin)
    reading.read()
    standin.write("init 18")
    with pytest.raises(NvmlError, match="version mismatch"):
        reading.read()


def test_xid_errors_count_from_when_we_began_to_watch(standin: Standin) -> None:
    def xids(reading: NvmlSource) -> list[int]:
        return [
            value
            for device in reading.read().devices
            for key, value in device.counters.items()
            if key.startswith("xid_errors|")
        ]

    standin.write(gpu(0, xids=3), gpu(1, xids=0), gpu(2))
    reading = source(standin)
    assert xids(reading) == [0, 0, 0]
    standin.write(gpu(0, xids=5), gpu(1, xids=1), gpu(2))
    assert xids(reading) == [2, 1, 0]
    assert xids(reading) == [2, 1, 0]


def test_mig_instances_have_parent_share_and_values_of_their_own(standin: Standin) -> None:
    standin.write(
        gpu(0, mig=1, slots=7, power=400_000, used=9, total=10, gpm=1, util=50, mutil=1),
        mig(1, gi=2, ci=0, slices=3, used=100, total=1000, gpm1=50, gpm2=25, gpm5=12.5),
        mig(2, gi=9, ci=0, slices=1, used=10, total=500),
        mig(3, gi=11, ci=0, slices=1, gpm1=99),
        mig(4, gi=11, ci=1, slices=1, gpm1=99),
        gpu(1, mig=0, power=70_000),
    )
    reading = source(standin)
    reading.read()
    devices = by_uuid(reading.read().devices)
    parent = devices.pop(uuid_of(0))
    assert devices.pop(uuid_of(1)).parent_uuid is None
    assert parent.is_divided
    # The instances' memory and utilisation are not told a second time, nor guessed.
    assert dict(parent.gauges) == {"power_w": 400.0}
    first, second, third, fourth = devices.values()
    assert {device.parent_uuid for device in devices.values()} == {uuid_of(0)}
    assert [device.instance for device in devices.values()] == [(2, 0), (9, 0), (11, 0), (11, 1)]
    assert [device.compute_share for device in devices.values()] == [3 / 7, 1 / 7, 1 / 7, 1 / 7]
    assert dict(first.gauges) == {
        "memory_used_bytes": 100, "memory_total_bytes": 1000, "utilization_ratio": 0.5,
        "sm_active_ratio": 0.25, "tensor_active_ratio": 0.125,
    }  # fmt: skip
    assert dict(second.gauges) == {"memory_used_bytes": 10, "memory_total_bytes": 500}
    # Two compute instances share the counters of one GPU instance: they are neither's.
    assert third.gauges == fourth.gauges == {}
    assert all(device.counters == {} for device in devices.values())


def test_instances_that_come_and_go(standin: Standin) -> None:
    standin.write(gpu(0, mig=1, slots=7), mig(1, gi=1, ci=0, slices=7))
    reading = source(standin)
    assert len(reading.read().devices) == 2
    standin.write(gpu(0, mig=0, used=1, total=2))
    (device,) = reading.read().devices
    assert not device.is_divided
