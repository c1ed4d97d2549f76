"""How hard a simulated job works, and how much memory it has, at any moment of its life."""

from __future__ import annotations

import random

import numpy as np

from tsobs.demo.simulation.job import Job
from tsobs.demo.simulation.kinds import Rhythm
from tsobs.demo.simulation.window import Times

__all__ = ["Curves", "Wave"]

_STARTUP_S = 15.0
_LOAD_MODEL_S = 90.0
# No real job reaches the last of its CPUs or of its memory, unless that kills it.
_MOST_CPU = 0.995
_MOST_MEMORY = 0.92


class Wave:
    """A smooth unrest between -1 and 1: the same at a moment however often it is asked for."""

    def __init__(self, draw: random.Random) -> None:
        self._parts = [
            (weight, draw.uniform(low, high), draw.uniform(0, 2 * np.pi))
            for weight, low, high in ((0.45, 300, 900), (0.35, 70, 200), (0.2, 31, 60))
        ]

    def __call__(self, t: Times) -> Times:
        """The wave at `t` seconds."""
        values: Times = np.zeros_like(t)
        for weight, period_s, phase in self._parts:
            values += weight * np.sin(2 * np.pi * t / period_s + phase)
        return values


class Curves:
    """The curves of a job on its node number `ordinal`; `t` is seconds since the job's start."""

    def __init__(self, job: Job, ordinal: int) -> None:
        self._job = job
        draw = random.Random(job.salt * 1_000 + ordinal)
        self._wave = Wave(draw)
        self._period_s = draw.uniform(240, 900)
        self._phase = draw.random()
        self._warm_s = draw.uniform(60, 600)
        self._top = min(_MOST_MEMORY, job.kind.memory_ratio * draw.uniform(0.75, 1.1))
        self._cache_share = min(0.35, job.kind.read_bytes_per_s / 3e8)
        self.system_share = draw.uniform(0.02, 0.08)
        """Share of the CPU time that is the kernel's."""

    def activity(self, t: Times, rhythm: Rhythm) -> Times:
        """Between 0 and 1: how busy a job of this rhythm is."""
        unrest = self._wave(t)
        turn = (t / self._period_s + self._phase) % 1.0
        match rhythm:
            case "steady" | "serial":
                values = 0.97 + 0.03 * unrest
            case "phases":
                values = np.where(turn < 0.78, 0.97 + 0.03 * unrest, 0.22 + 0.1 * unrest)
            case "epochs":
                values = np.where(turn < 0.94, 0.98 + 0.02 * unrest, 0.15 + 0.05 * unrest)
            case "bursts":
                values = 0.55 + 0.45 * unrest
            case "interactive":
                values = np.where(self._wave(t / 4) > 0.5, 0.6 + 0.3 * unrest, 0.02)
            case _:
                values = np.zeros_like(t)
        active: Times = np.clip(values, 0.0, 1.0)
        return active

    def cpu_ratio(self, t: Times) -> Times:
        """CPU use, of the CPUs that the job has on the node."""
        kind = self._job.kind
        full = 1 / self._job.cpus if kind.rhythm == "serial" else kind.cpu_ratio
        values = full * self.activity(t, kind.rhythm) * np.where(t < _STARTUP_S, 0.3, 1.0)
        ratio: Times = np.minimum(values, _MOST_CPU)
        return ratio

    def memory_ratio(self, t: Times) -> Times:
        """Memory in use, of what the job may use on the node; 1 is where the kernel kills."""
        if self._job.fate == "out_of_memory":
            done = np.minimum(t / self._job.run_s, 1.0)
            grown = 0.2 + 0.8 * done**1.4
            ratio: Times = np.minimum(grown * (1 + 0.02 * self._wave(t) * (1 - done)), 1.0)
            return ratio
        grown = 0.1 + 0.9 * (1 - np.exp(-t / self._warm_s))
        ratio = self._top * grown * (1 + 0.03 * self._wave(t))
        return ratio

    def cache_share(self, t: Times) -> Times:
        """Page cache, of the memory in use; it gives way where memory gets short."""
        squeezed = 1.0 - np.clip((self.memory_ratio(t) - 0.6) / 0.4, 0.0, 1.0)
        share: Times = self._cache_share * squeezed
        return share

    def gpu_ratio(self, t: Times) -> Times:
        """Use of each of the job's GPUs."""
        kind = self._job.kind
        values = kind.gpu_ratio * self.activity(t, kind.gpu_rhythm)
        ratio: Times = np.where(t < _LOAD_MODEL_S, 0.0, values)
        return ratio

    def gpu_memory_ratio(self, t: Times) -> Times:
        """Memory in use of each of the job's GPUs, of what the device has."""
        loaded = np.clip(t / _LOAD_MODEL_S, 0.02, 1.0)
        ratio: Times = self._job.kind.gpu_memory_ratio * loaded
        return ratio
