"""NVIDIA's management library, called through ctypes: the structures and calls of its public
header, nvml.h.

A call that this library lacks, or that a device does not support, has no value; the versions in the
functions' names are those that drivers from 450 on have.
"""

from __future__ import annotations

import ctypes
import math
from ctypes import Structure, Union, byref, c_char_p, c_int, c_uint, c_ulonglong, c_void_p
from typing import Any, NamedTuple

__all__ = ["GpmMetrics", "NvmlError", "NvmlLibrary", "Sample"]

NAME = "libnvidia-ml.so.1"
_SUCCESS = 0
# Nothing more can be asked of this device: fallen off the bus, or waiting for a reset.
_LOST = {15: "is lost", 16: "needs a reset"}
_TEXT_BYTES = 96
_ALL_LINKS = 0xFFFF_FFFF
_DOUBLE, _UINT, _ULONG, _ULONGLONG, _LONGLONG, _INT, _USHORT = range(7)
_MAX_SAMPLES = 1024
# As many as nvml.h had in its first version with GPM: the library goes by the number given.
_GPM_METRICS_MAX = 98


class NvmlError(Exception):
    """The library, or a device as a whole, does not work; the text says what it answered."""


class _PciInfo(Structure):
    _fields_ = (
        ("bus_id_legacy", ctypes.c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("pci_device_id", c_uint),
        ("pci_subsystem_id", c_uint),
        ("bus_id", ctypes.c_char * 32),
    )


class _Utilization(Structure):
    _fields_ = (("gpu", c_uint), ("memory", c_uint))


class _Memory(Structure):
    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class _MemoryV2(Structure):
    _fields_ = (
        ("version", c_uint),
        ("total", c_ulonglong),
        ("reserved", c_ulonglong),
        ("free", c_ulonglong),
        ("used", c_ulonglong),
    )


class _Value(Union):
    _fields_ = (
        ("double", ctypes.c_double),
        ("int", c_int),
        ("uint", c_uint),
        ("ulong", ctypes.c_ulong),
        ("ulonglong", c_ulonglong),
        ("longlong", ctypes.c_longlong),
        ("ushort", ctypes.c_ushort),
    )


_MEMBERS = {
    _DOUBLE: "double",
    _UINT: "uint",
    _ULONG: "ulong",
    _ULONGLONG: "ulonglong",
    _LONGLONG: "longlong",
    _INT: "int",
    _USHORT: "ushort",
}


class _FieldValue(Structure):
    _fields_ = (
        ("field_id", c_uint),
        ("scope_id", c_uint),
        ("timestamp", ctypes.c_longlong),
        ("latency_us", ctypes.c_longlong),
        ("value_type", c_int),
        ("result", c_int),
        ("value", _Value),
    )


class _Sample(Structure):
    _fields_ = (("timestamp", c_ulonglong), ("value", _Value))


class _Attributes(Structure):
    _fields_ = (
        ("multiprocessors", c_uint),
        ("shared_copy_engines", c_uint),
        ("shared_decoders", c_uint),
        ("shared_encoders", c_uint),
        ("shared_jpegs", c_uint),
        ("shared_ofas", c_uint),
        ("gpu_instance_slices", c_uint),
        ("compute_instance_slices", c_uint),
        ("memory_mib", c_ulonglong),
    )


class _EventData(Structure):
    _fields_ = (
        ("device", c_void_p),
        ("event_type", c_ulonglong),
        ("event_data", c_ulonglong),
        ("gpu_instance", c_uint),
        ("compute_instance", c_uint),
    )


class _GpmMetric(Structure):
    _fields_ = (
        ("metric_id", c_uint),
        ("result", c_int),
        ("value", ctypes.c_double),
        ("short_name", c_char_p),
        ("long_name", c_char_p),
        ("unit", c_char_p),
    )


class _GpmMetricsGet(Structure):
    _fields_ = (
        ("version", c_uint),
        ("count", c_uint),
        ("sample1", c_void_p),
        ("sample2", c_void_p),
        ("metrics", _GpmMetric * _GPM_METRICS_MAX),
    )


class _GpmSupport(Structure):
    _fields_ = (("version", c_uint), ("is_supported", c_uint))


class Sample(NamedTuple):
    """One of the driver's own samples: when (microseconds), and what."""

    timestamp: int
    value: float


GpmMetrics = dict[int, float]
"""NVML_GPM_METRIC_… → value, those that are known."""

Handle = c_void_p


class NvmlLibrary:
    """The library, opened and initialised; NvmlError when it is not there or does not start."""

    def __init__(self, path: str = NAME) -> None:
        try:
            self._library = ctypes.CDLL(path)
        except OSError as failure:
            raise NvmlError(str(failure)) from failure
        self._absent: set[str] = set()
        result = self._result("nvmlInit_v2")
        if result != _SUCCESS:
            raise NvmlError(self.explain(result))

    def explain(self, result: int) -> str:
        """Return what a result means, in the library's words."""
        try:
            tell = self._library.nvmlErrorString
        except AttributeError:
            return f"NVML error {result}"
        tell.restype = c_char_p
        text = tell(c_int(result))
        return str(text.decode("ascii", "replace")) if text else f"NVML error {result}"

    def driver_version(self) -> str | None:
        """Return the driver's version."""
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        done = self._result("nvmlSystemGetDriverVersion", buffer, c_uint(_TEXT_BYTES)) == _SUCCESS
        return buffer.value.decode("ascii", "replace") if done else None

    def device_count(self) -> int:
        """Return how many devices there are; NvmlError when that cannot be said."""
        count = c_uint()
        result = self._result("nvmlDeviceGetCount_v2", byref(count))
        if result != _SUCCESS:
            raise NvmlError(self.explain(result))
        return count.value

    def device(self, index: int) -> Handle:
        """Return a device's handle; NvmlError for one that is lost or may not be used."""
        handle = Handle()
        result = self._result("nvmlDeviceGetHandleByIndex_v2", c_uint(index), byref(handle))
        if result != _SUCCESS:
            raise NvmlError(_LOST.get(result) or self.explain(result))
        return handle

    def mig_device(self, device: Handle, index: int) -> Handle | None:
        """Return a MIG instance's handle; None when there is none of this index."""
        handle = Handle()
        name = "nvmlDeviceGetMigDeviceHandleByIndex"
        done = self._result(name, device, c_uint(index), byref(handle)) == _SUCCESS
        return handle if done else None

    def text(self, name: str, device: Handle) -> str | None:
        """Return what a call answers in words, such as nvmlDeviceGetUUID."""
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        done = self._result(name, device, buffer, c_uint(_TEXT_BYTES)) == _SUCCESS
        return buffer.value.decode("utf-8", "replace") if done else None

    def uint(self, name: str, device: Handle, *arguments: int) -> int | None:
        """Return the unsigned int that a call answers after further arguments."""
        value = c_uint()
        result = self._result(name, device, *map(c_uint, arguments), byref(value))
        return value.value if result == _SUCCESS else None

    def uint_pair(self, name: str, device: Handle) -> tuple[int, int] | None:
        """Return the two unsigned ints that a call answers."""
        first, second = c_uint(), c_uint()
        done = self._result(name, device, byref(first), byref(second)) == _SUCCESS
        return (first.value, second.value) if done else None

    def count(self, name: str, device: Handle, *arguments: int) -> int | None:
        """Return the unsigned long long that a call answers after further arguments."""
        value = c_ulonglong()
        result = self._result(name, device, *map(c_uint, arguments), byref(value))
        return value.value if result == _SUCCESS else None

    def require_alive(self, device: Handle) -> None:
        """Raise NvmlError when a device that has a handle is lost all the same."""
        result = self._result("nvmlDeviceGetPowerUsage", device, byref(c_uint()))
        if result in _LOST:
            raise NvmlError(_LOST[result])

    def pci_bus_id(self, device: Handle) -> str | None:
        """Return the PCI address, as the driver writes it."""
        info = _PciInfo()
        if self._result("nvmlDeviceGetPciInfo_v3", device, byref(info)) != _SUCCESS:
            return None
        return bytes(info.bus_id).decode("ascii", "replace")

    def utilization(self, device: Handle) -> tuple[int, int] | None:
        """Return (kernels, memory) in percent of the driver's last sampling period."""
        rates = _Utilization()
        done = self._result("nvmlDeviceGetUtilizationRates", device, byref(rates)) == _SUCCESS
        return (rates.gpu, rates.memory) if done else None

    def memory(self, device: Handle) -> tuple[int, int] | None:
        """Return (used, total) bytes; used without what the driver keeps for itself, where it
        says."""
        newer = _MemoryV2(version=ctypes.sizeof(_MemoryV2) | 2 << 24)
        if self._result("nvmlDeviceGetMemoryInfo_v2", device, byref(newer)) == _SUCCESS:
            return newer.used, newer.total
        older = _Memory()
        if self._result("nvmlDeviceGetMemoryInfo", device, byref(older)) == _SUCCESS:
            return older.used, older.total
        return None

    def attributes(self, device: Handle) -> tuple[int, int] | None:
        """Return (compute instance slices, memory in MiB) of a MIG instance."""
        found = _Attributes()
        if self._result("nvmlDeviceGetAttributes_v2", device, byref(found)) != _SUCCESS:
            return None
        return found.compute_instance_slices, found.memory_mib

    def fields(self, device: Handle, wanted: dict[int, bool]) -> dict[int, int]:
        """Return NVML_FI_… → value of those that the device knows; True asks for all links."""
        values = (_FieldValue * len(wanted))()
        for item, (field_id, all_links) in zip(values, wanted.items()):
            item.field_id = field_id
            item.scope_id = _ALL_LINKS if all_links else 0
        result = self._result("nvmlDeviceGetFieldValues", device, c_int(len(wanted)), values)
        if result != _SUCCESS:
            return {}
        return {
            item.field_id: int(getattr(item.value, _MEMBERS[item.value_type]))
            for item in values
            if item.result == _SUCCESS and item.value_type in _MEMBERS
        }

    def samples(self, device: Handle, kind: int, since: int) -> list[Sample]:
        """Return the driver's samples of a kind that are newer than a timestamp."""
        count, value_type = c_uint(_MAX_SAMPLES), c_int()
        buffer = (_Sample * _MAX_SAMPLES)()
        arguments = (c_int(kind), c_ulonglong(since), byref(value_type), byref(count), buffer)
        result = self._result("nvmlDeviceGetSamples", device, *arguments)
        if result != _SUCCESS or value_type.value not in _MEMBERS:
            return []
        member = _MEMBERS[value_type.value]
        found = buffer[: min(count.value, _MAX_SAMPLES)]
        return [Sample(each.timestamp, float(getattr(each.value, member))) for each in found]

    # ---- events

    def watch(self, devices: list[Handle], event_types: int) -> c_void_p | None:
        """Return a set of events that happen to devices from now on; None when there are none."""
        events = c_void_p()
        if self._result("nvmlEventSetCreate", byref(events)) != _SUCCESS:
            return None
        kinds = c_ulonglong(event_types)
        taken = [
            self._result("nvmlDeviceRegisterEvents", device, kinds, events) == _SUCCESS
            for device in devices
        ]
        return events if any(taken) else None

    def next_event(self, events: c_void_p) -> tuple[int, int] | None:
        """Return (device handle, event data) of the next event, if there is one already."""
        data = _EventData()
        if self._result("nvmlEventSetWait_v2", events, byref(data), c_uint(0)) != _SUCCESS:
            return None
        return data.device or 0, data.event_data

    # ---- GPM, the profiling counters

    def has_gpm(self, device: Handle) -> bool:
        """Tell whether the chip counts for profiling (Hopper and later)."""
        support = _GpmSupport(version=1)
        result = self._result("nvmlGpmQueryDeviceSupport", device, byref(support))
        return result == _SUCCESS and bool(support.is_supported)

    def gpm_buffer(self) -> c_void_p | None:
        """Return room for one sample, to be used again and again."""
        sample = c_void_p()
        done = self._result("nvmlGpmSampleAlloc", byref(sample)) == _SUCCESS
        return sample if done else None

    def gpm_free(self, sample: c_void_p) -> None:
        """Give room for a sample back."""
        self._result("nvmlGpmSampleFree", sample)

    def gpm_take(self, device: Handle, gpu_instance: int | None, sample: c_void_p) -> bool:
        """Take a sample of a device, or of one of its GPU instances."""
        if gpu_instance is None:
            return self._result("nvmlGpmSampleGet", device, sample) == _SUCCESS
        arguments = (device, c_uint(gpu_instance), sample)
        return self._result("nvmlGpmMigSampleGet", *arguments) == _SUCCESS

    def gpm_between(self, first: c_void_p, second: c_void_p, wanted: list[int]) -> GpmMetrics:
        """Return what happened between two samples."""
        request = _GpmMetricsGet(version=1, count=len(wanted), sample1=first, sample2=second)
        for n, metric_id in enumerate(wanted):
            request.metrics[n].metric_id = metric_id
        if self._result("nvmlGpmMetricsGet", byref(request)) != _SUCCESS:
            return {}
        return {
            each.metric_id: each.value
            for each in request.metrics[: len(wanted)]
            if each.result == _SUCCESS and math.isfinite(each.value)
        }

    def _result(self, name: str, *arguments: Any) -> int:
        if name in self._absent:
            return -1
        try:
            function = getattr(self._library, name)
        except AttributeError:
            self._absent.add(name)
            return -1
        function.restype = c_int
        return int(function(*arguments))
