"""NVIDIA's devices and MIG instances through the driver's library."""

from __future__ import annotations

from ctypes import c_void_p
from typing import NamedTuple

from nodeagent import clock
from nodeagent.gpu.device import Device, Survey, bus_id
from nodeagent.gpu.nvml_library import NvmlError, NvmlLibrary
from nodeagent.gpu.nvml_profile import NvmlProfile

__all__ = ["NvmlSource"]

_SM_CLOCK, _MEMORY_CLOCK = 1, 2
_CORE_SENSOR = 0
_CORRECTED, _UNCORRECTED = 0, 1
_SINCE_DRIVER_LOADED = 0
_XID_EVENT = 8
# More in one look is a device that reports one fault again and again.
_MOST_EVENTS = 1000
# NVML_FI_DEV_…, and whether the sum over all links is asked for.
_POWER_NS, _THERMAL_NS, _MEMORY_CELSIUS = 74, 75, 82
_NVLINK_TX_KIB, _NVLINK_RX_KIB = 138, 139
_SW_THERMAL_NS, _HW_THERMAL_NS, _POWER_BRAKE_NS = 269, 270, 271
_FIELDS = {
    _POWER_NS: False,
    _THERMAL_NS: False,
    _MEMORY_CELSIUS: False,
    _NVLINK_TX_KIB: True,
    _NVLINK_RX_KIB: True,
    _SW_THERMAL_NS: False,
    _HW_THERMAL_NS: False,
    _POWER_BRAKE_NS: False,
}


class _Found(NamedTuple):
    """A device of this look: its handle, and what stays of it."""

    handle: c_void_p
    uuid: str
    is_divided: bool


class NvmlSource:
    """Reads all devices; NvmlError from the constructor when there is no library or driver."""

    name = "NVML"

    def __init__(self, library: NvmlLibrary) -> None:
        self._library = library
        self._profile = NvmlProfile(library)
        self._events: c_void_p | None = None
        self._watched: tuple[str, ...] = ()
        self._xids: dict[str, int] = {}
        self._watches = 0

    def read(self) -> Survey:
        """Return all devices with what they report; NvmlError when the driver fails as a whole."""
        at = clock.now()
        devices: list[Device] = []
        problems: list[str] = []
        found: list[_Found] = []
        for index in range(self._library.device_count()):
            try:
                handle = self._library.device(index)
                self._library.require_alive(handle)
                devices += self._device(index, handle, at.boot, found)
            except NvmlError as failure:
                problems.append(f"NVIDIA GPU {index} {failure}")
        self._profile.forget_all_but({device.uuid for device in devices})
        self._watch(found)
        devices = [self._with_xids(device) for device in devices]
        version = self._library.driver_version()
        source = f"{self.name} (driver {version})" if version else self.name
        return Survey(at.boot, at.wall, tuple(devices), (source,), tuple(problems))

    def _device(
        self, index: int, handle: c_void_p, boot: float, found: list[_Found]
    ) -> list[Device]:
        library = self._library
        uuid = library.text("nvmlDeviceGetUUID", handle)
        if uuid is None:
            raise NvmlError("does not tell its UUID")
        mode = library.uint_pair("nvmlDeviceGetMigMode", handle)
        is_divided = mode is not None and mode[0] == 1
        counters, gauges = self._readings(uuid, handle, is_divided)
        if not is_divided:
            counted, profile = self._profile.read(uuid, handle, None, boot)
            gauges = {**profile, **gauges}
            counters.update(counted)
        memory = library.memory(handle)
        device = Device(
            uuid=uuid,
            vendor="nvidia",
            model=library.text("nvmlDeviceGetName", handle),
            pci_bus_id=bus_id(library.pci_bus_id(handle) or ""),
            minor=library.uint("nvmlDeviceGetMinorNumber", handle),
            ordinal=index,
            memory_total_bytes=memory[1] if memory else None,
            is_divided=is_divided,
            counters=counters,
            gauges=gauges,
        )
        found.append(_Found(handle, uuid, is_divided))
        return [device, *(self._instances(device, handle, boot) if is_divided else ())]

    def _readings(
        self, uuid: str, handle: c_void_p, is_divided: bool
    ) -> tuple[dict[str, int], dict[str, float]]:
        library = self._library
        fields = library.fields(handle, _FIELDS)
        watts = library.uint("nvmlDeviceGetPowerUsage", handle)
        limit = library.uint("nvmlDeviceGetEnforcedPowerLimit", handle)
        clocks = [
            library.uint("nvmlDeviceGetClockInfo", handle, kind)
            for kind in (_SM_CLOCK, _MEMORY_CLOCK)
        ]
        fan = library.uint("nvmlDeviceGetFanSpeed", handle)
        encoder = library.uint_pair("nvmlDeviceGetEncoderUtilization", handle)
        decoder = library.uint_pair("nvmlDeviceGetDecoderUtilization", handle)
        gauges = {
            "power_w": _scaled(watts, 1e-3),
            "power_limit_w": _scaled(limit, 1e-3),
            "temperature_celsius": library.uint("nvmlDeviceGetTemperature", handle, _CORE_SENSOR),
            "memory_temperature_celsius": fields.get(_MEMORY_CELSIUS),
            "sm_clock_hz": _scaled(clocks[0], 1e6),
            "memory_clock_hz": _scaled(clocks[1], 1e6),
            "fan_ratio": _ratio(fan),
            "encoder_ratio": _ratio(encoder[0] if encoder else None),
            "decoder_ratio": _ratio(decoder[0] if decoder else None),
        }
        # In MIG mode the memory in use is that of the instances.
        if not is_divided:
            memory = library.memory(handle)
            gauges["memory_used_bytes"] = memory[0] if memory else None
            gauges["memory_total_bytes"] = memory[1] if memory else None
            gauges.update(self._profile.utilization(uuid, handle))
        return self._counters(handle, fields), {
            name: value for name, value in gauges.items() if value is not None
        }

    def _counters(self, handle: c_void_p, fields: dict[int, int]) -> dict[str, int]:
        library = self._library
        corrected, uncorrected = (
            library.count("nvmlDeviceGetTotalEccErrors", handle, kind, _SINCE_DRIVER_LOADED)
            for kind in (_CORRECTED, _UNCORRECTED)
        )
        counters = {
            "energy_j": library.count("nvmlDeviceGetTotalEnergyConsumption", handle),
            "ecc_corrected_errors": corrected,
            "ecc_uncorrected_errors": uncorrected,
            "throttled_power_s|limit": fields.get(_POWER_NS),
            "throttled_power_s|brake": fields.get(_POWER_BRAKE_NS),
        }
        if _SW_THERMAL_NS in fields and _HW_THERMAL_NS in fields:
            counters["throttled_thermal_s|software"] = fields[_SW_THERMAL_NS]
            counters["throttled_thermal_s|hardware"] = fields[_HW_THERMAL_NS]
        else:
            counters["throttled_thermal_s|any"] = fields.get(_THERMAL_NS)
        if _NVLINK_TX_KIB in fields and _NVLINK_RX_KIB in fields:
            counters["nvlink_tx_bytes"] = fields[_NVLINK_TX_KIB] * 1024
            counters["nvlink_rx_bytes"] = fields[_NVLINK_RX_KIB] * 1024
        return {name: value for name, value in counters.items() if value is not None}

    def _instances(self, device: Device, handle: c_void_p, boot: float) -> list[Device]:
        library = self._library
        slices = library.uint("nvmlDeviceGetMaxMigDeviceCount", handle) or 0
        handles = [found for n in range(slices) if (found := library.mig_device(handle, n))]
        ids = [_instance_ids(library, each) for each in handles]
        made = []
        for each, instance in zip(handles, ids):
            uuid = library.text("nvmlDeviceGetUUID", each)
            if uuid is None or instance is None:
                continue
            memory, attributes = library.memory(each), library.attributes(each)
            counters: dict[str, int] = {}
            gauges: dict[str, float] = {}
            # The profile is the GPU instance's: one instance's only where it is alone in it.
            if [other[0] for other in ids if other is not None].count(instance[0]) == 1:
                counters, gauges = self._profile.read(uuid, handle, instance[0], boot)
            total = memory[1] if memory else None
            if memory:
                gauges = {**gauges, "memory_used_bytes": memory[0], "memory_total_bytes": memory[1]}
            made.append(
                device._replace(
                    uuid=uuid,
                    model=library.text("nvmlDeviceGetName", each) or device.model,
                    memory_total_bytes=total,
                    parent_uuid=device.uuid,
                    instance=instance,
                    compute_share=attributes[0] / slices if attributes and attributes[0] else None,
                    is_divided=False,
                    counters=counters,
                    gauges=gauges,
                )
            )
        return made

    def _watch(self, found: list[_Found]) -> None:
        """Count critical errors; events of before the watch began are not told."""
        uuids = tuple(sorted(item.uuid for item in found))
        if uuids != self._watched:
            self._watched = uuids
            self._watches += 1
            self._xids = {}
            self._events = self._library.watch([item.handle for item in found], _XID_EVENT)
            if self._events is not None:
                self._xids = dict.fromkeys(uuids, 0)
        if self._events is None:
            return
        by_handle = {item.handle.value: item.uuid for item in found}
        for _ in range(_MOST_EVENTS):
            event = self._library.next_event(self._events)
            if event is None:
                return
            uuid = by_handle.get(event[0])
            if uuid in self._xids:
                self._xids[uuid] += 1

    def _with_xids(self, device: Device) -> Device:
        if device.parent_uuid is not None or device.uuid not in self._xids:
            return device
        # Counted from zero by this process and this watch: another one's is another part.
        key = f"xid_errors|{self._profile.epoch}.{self._watches}"
        return device._replace(counters={**device.counters, key: self._xids[device.uuid]})


def _instance_ids(library: NvmlLibrary, handle: c_void_p) -> tuple[int, int] | None:
    gpu_instance = library.uint("nvmlDeviceGetGpuInstanceId", handle)
    compute_instance = library.uint("nvmlDeviceGetComputeInstanceId", handle)
    if gpu_instance is None or compute_instance is None:
        return None
    return gpu_instance, compute_instance


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _ratio(percent: int | None) -> float | None:
    # A fan may be told to turn at more than 100 %.
    return None if percent is None else min(1.0, percent / 100)
