"""How busy a device of NVIDIA's was since the last look: the driver's own samples, and GPM, the
chip's profiling counters."""

from __future__ import annotations

import os
from ctypes import c_void_p

from nodeagent import clock
from nodeagent.gpu.nvml_library import NvmlLibrary

__all__ = ["NvmlProfile"]

_KERNELS, _MEMORY = 1, 2
# NVML_GPM_METRIC_…: percent.
_RATIOS = {
    1: "utilization_ratio",
    2: "sm_active_ratio",
    3: "sm_occupancy_ratio",
    5: "tensor_active_ratio",
    10: "dram_active_ratio",
}
# MiB a second between the two samples.
_RATES = {20: "pcie_tx_bytes", 21: "pcie_rx_bytes"}
_MIB = 1024 * 1024


class _Track:
    """What is kept of one device between two looks."""

    def __init__(self, buffers: tuple[c_void_p, c_void_p]) -> None:
        self.buffers = buffers
        self.boot: float | None = None
        self.bytes = dict.fromkeys(_RATES.values(), 0)


class NvmlProfile:
    """Keeps the last sample of each device."""

    def __init__(self, library: NvmlLibrary) -> None:
        self._library = library
        self._tracks: dict[str, _Track | None] = {}
        self._seen: dict[tuple[str, int], int] = {}
        self.epoch = f"{os.getpid()}-{clock.now().boot:.3f}"
        """Names what this process counts from zero."""

    def utilization(self, uuid: str, device: c_void_p) -> dict[str, float]:
        """Return ratios over the driver's samples since the last look (it keeps some 15 to 20 s);
        where it keeps none, over its last sampling period."""
        ratios = {}
        rates = self._library.utilization(device)
        for n, (kind, column) in enumerate(
            ((_KERNELS, "utilization_ratio"), (_MEMORY, "memory_utilization_ratio"))
        ):
            mean = self._mean(uuid, device, kind)
            if mean is not None:
                ratios[column] = mean
            elif rates is not None:
                ratios[column] = min(1.0, rates[n] / 100)
        return ratios

    def read(
        self, uuid: str, device: c_void_p, gpu_instance: int | None, boot: float
    ) -> tuple[dict[str, int], dict[str, float]]:
        """Return (counters, gauges) of what GPM counted since the last look; nothing on chips
        without."""
        if uuid not in self._tracks:
            self._tracks[uuid] = self._begin(device)
        track = self._tracks[uuid]
        if track is None:
            return {}, {}
        old, fresh = track.buffers
        if not self._library.gpm_take(device, gpu_instance, fresh):
            track.boot = None
            return {}, {}
        gauges: dict[str, float] = {}
        if track.boot is not None and boot > track.boot:
            wanted = [*_RATIOS, *(_RATES if gpu_instance is None else ())]
            metrics = self._library.gpm_between(old, fresh, wanted)
            gauges = {
                _RATIOS[metric]: min(1.0, max(0.0, value / 100))
                for metric, value in metrics.items()
                if metric in _RATIOS
            }
            for metric, column in _RATES.items():
                if metric in metrics:
                    used = metrics[metric] * _MIB * (boot - track.boot)
                    track.bytes[column] += max(0, round(used))
                else:
                    track.bytes.pop(column, None)
        track.buffers, track.boot = (fresh, old), boot
        if gpu_instance is not None:
            return {}, gauges
        return {f"{name}|{self.epoch}": n for name, n in track.bytes.items()}, gauges

    def forget_all_but(self, uuids: set[str]) -> None:
        """Let go of devices and instances that are no more."""
        for uuid in self._tracks.keys() - uuids:
            track = self._tracks.pop(uuid)
            if track is not None:
                for buffer in track.buffers:
                    self._library.gpm_free(buffer)
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] in uuids}

    def _begin(self, device: c_void_p) -> _Track | None:
        if not self._library.has_gpm(device):
            return None
        first, second = self._library.gpm_buffer(), self._library.gpm_buffer()
        if first is None or second is None:
            return None
        return _Track((first, second))

    def _mean(self, uuid: str, device: c_void_p, kind: int) -> float | None:
        since = self._seen.get((uuid, kind), 0)
        samples = [
            sample
            for sample in self._library.samples(device, kind, since)
            if sample.timestamp > since and 0 <= sample.value <= 100
        ]
        if not samples:
            return None
        self._seen[uuid, kind] = max(sample.timestamp for sample in samples)
        return sum(sample.value for sample in samples) / len(samples) / 100
