"""Utilisation over the driver's samples, and GPM's counters between two looks."""

from __future__ import annotations

import pytest

from nodeagent.gpu.nvml_library import NvmlLibrary
from nodeagent.gpu.nvml_profile import NvmlProfile
from tests.fix_gpu import Standin, gpu


def opened(standin: Standin, line: str) -> tuple[NvmlLibrary, NvmlProfile]:
    standin.write(line)
    library = NvmlLibrary(str(standin.library))
    assert library.device_count() == 1
    return library, NvmlProfile(library)


def test_utilisation_is_the_mean_of_the_samples(standin: Standin) -> None:
    library, profile = opened(standin, gpu(0, util=99, mutil=7, samples1="10,20,60"))
    ratios = profile.utilization("GPU-0", library.device(0))
    assert ratios == {"utilization_ratio": pytest.approx(0.3), "memory_utilization_ratio": 0.07}


def test_impossible_samples_are_left_out(standin: Standin) -> None:
    library, profile = opened(standin, gpu(0, samples1="10,4000,30"))
    assert profile.utilization("GPU-0", library.device(0)) == {"utilization_ratio": 0.2}


def test_gpm_needs_two_looks(standin: Standin) -> None:
    line = gpu(0, gpm=1, gpm1=90, gpm2=50, gpm3=25, gpm5=100.4, gpm10=12.5, gpm20=10, gpm21=20)
    library, profile = opened(standin, line)
    device = library.device(0)
    counters, gauges = profile.read("GPU-0", device, None, 100.0)
    assert gauges == {}
    assert set(counters.values()) == {0}
    counters, gauges = profile.read("GPU-0", device, None, 115.0)
    assert gauges == {
        "utilization_ratio": 0.9, "sm_active_ratio": 0.5, "sm_occupancy_ratio": 0.25,
        "tensor_active_ratio": 1.0, "dram_active_ratio": 0.125,
    }  # fmt: skip
    assert counters == {
        f"pcie_tx_bytes|{profile.epoch}": 150 * 2**20,
        f"pcie_rx_bytes|{profile.epoch}": 300 * 2**20,
    }
    counters, _ = profile.read("GPU-0", device, None, 116.0)
    assert counters[f"pcie_tx_bytes|{profile.epoch}"] == 160 * 2**20


def test_what_gpm_does_not_count_is_absent(standin: Standin) -> None:
    library, profile = opened(standin, gpu(0, gpm=1, gpm2="nan", gpm10=3))
    device = library.device(0)
    profile.read("GPU-0", device, None, 1.0)
    assert profile.read("GPU-0", device, None, 2.0) == ({}, {"dram_active_ratio": 0.03})
    profile.forget_all_but(set())
    assert profile.read("GPU-0", device, None, 3.0)[1] == {}


def test_chips_without_gpm(standin: Standin) -> None:
    library, profile = opened(standin, gpu(0, gpm=0, gpm2=50))
    device = library.device(0)
    assert profile.read("GPU-0", device, None, 1.0) == ({}, {})
    assert profile.read("GPU-0", device, None, 2.0) == ({}, {})
