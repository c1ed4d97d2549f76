"""Which GPUs are found through what, who holds them, and what of them is not measured."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from nodeagent.counters import Base
from nodeagent.doctor.cgroups import SlurmView
from nodeagent.doctor.finding import Finding, Status
from nodeagent.gpu.allocation import Claim, Rank, settle
from nodeagent.gpu.device import Device, Survey
from nodeagent.gpu.directory import Directory
from nodeagent.gpu.reader import GpuReader
from nodeagent.gpu.readings import claims_of
from nodeagent.gpu.shares import shares_of
from nodeagent.live_job import LiveJob
from nodeagent.paths import Paths
from nodeagent.process_facts import learn

__all__ = ["examine_gpus"]

_SECTION = "GPUs"
_LIMIT_S = 10.0
# The profiling counters tell of the time between two looks.
_APART_S = 0.5
_SOURCES = {
    Rank.KERNEL: "the cgroup's device list",
    Rank.FILE: "a file of the prolog's",
    Rank.ENVIRON: "its processes' environment",
}
# Columns that come together, and why a device may not have them.
_QUANTITIES = (
    ("utilisation", ("utilization_ratio",), "the driver does not tell it of this device"),
    ("memory", ("memory_used_bytes",), "the driver does not tell it of this device"),
    ("power", ("power_w",), "it has no sensor that the driver reads"),
    ("energy", ("energy_j",), "NVIDIA counts it from Volta on; nvidia-smi does not tell it"),
    ("temperature", ("temperature_celsius",), "it has no sensor that the driver reads"),
    ("clocks", ("sm_clock_hz", "memory_clock_hz"), "the driver does not tell them"),
    (
        "time slowed down",
        ("throttled_power_s", "throttled_thermal_s"),
        "the driver does not count it here; AMD's tools do not tell it",
    ),
    ("memory errors", ("ecc_corrected_errors", "ecc_uncorrected_errors"), "it has no ECC, or off"),
    ("driver errors (XID)", ("xid_errors",), "NVIDIA's library tells of them, nothing else does"),
    ("encoder and decoder", ("encoder_ratio", "decoder_ratio"), "the driver does not tell them"),
    ("PCIe traffic", ("pcie_tx_bytes", "pcie_rx_bytes"), "counted from Hopper on, through GPM"),
    ("NVLink traffic", ("nvlink_tx_bytes", "nvlink_rx_bytes"), "it has no NVLink, or AMD's XGMI"),
    (
        "profiling (SM, tensor, DRAM)",
        ("sm_active_ratio", "tensor_active_ratio", "dram_active_ratio"),
        "counted from Hopper on, through GPM",
    ),
)


def examine_gpus(
    paths: Paths, view: SlurmView, reader: GpuReader, folders: Iterable[Path]
) -> Iterator[Finding]:
    """Yield what is found; takes at most some ten seconds, also when a driver hangs."""
    if not reader.has_driver():
        text = "no driver of NVIDIA's or AMD's is loaded"
        yield Finding(_SECTION, "driver", Status.ABSENT, text)
        return
    start = time.monotonic()
    survey = _look(reader, start + _LIMIT_S)
    if survey is not None and survey.devices:
        time.sleep(_APART_S)
        survey = _look(reader, start + _LIMIT_S) or survey
    reader.close()
    if survey is None:
        text = f"the driver does not answer within {_LIMIT_S:.0f} s: GPUs are not measured"
        advice = "look at dmesg (Xid, amdgpu); a node whose driver hangs wants a drain and a reboot"
        yield Finding(_SECTION, "driver", Status.FAULT, text, advice)
        return
    yield from _sources(survey)
    held = settle(claims_of(_jobs(view), Directory(paths, survey.devices), folders))
    for device in survey.devices:
        yield Finding(_SECTION, _name(device), Status.OK, _who(device))
        yield _holders(held.get(device.uuid, {}), device)
    if survey.devices:
        yield from _quantities(survey)


def _look(reader: GpuReader, until: float) -> Survey | None:
    reader.ask()
    return reader.answer(max(0.1, until - time.monotonic()))


def _sources(survey: Survey) -> Iterator[Finding]:
    for source in survey.sources:
        yield Finding(_SECTION, "source", Status.OK, source)
    if not survey.sources:
        text = "a driver is loaded, but nothing could be asked"
        advice = "install the driver's library or tool: libnvidia-ml.so.1, nvidia-smi, amd-smi"
        yield Finding(_SECTION, "source", Status.WARNING, text, advice)
    for problem in survey.problems:
        yield Finding(_SECTION, "problem", Status.WARNING, problem, "look at dmesg")


def _name(device: Device) -> str:
    return "MIG instance" if device.parent_uuid is not None else f"{device.vendor or 'some'} GPU"


def _who(device: Device) -> str:
    told = [device.uuid, device.model, device.pci_bus_id]
    if device.minor is not None and device.parent_uuid is None:
        told.append(f"/dev/nvidia{device.minor}")
    if device.parent_uuid is not None:
        told.append(f"of {device.parent_uuid}")
    if device.compute_share is not None:
        told.append(f"{device.compute_share:.0%} of its compute")
    if device.is_divided:
        told.append("in MIG mode: jobs hold its instances")
    return ", ".join(filter(None, told))


def _holders(claims: dict[str, Claim], device: Device) -> Finding:
    if not claims:
        text = "jobs hold its instances" if device.is_divided else "no job holds it"
        return Finding(_SECTION, "held by", Status.ABSENT, text)
    shares = shares_of(claims)
    texts = [
        f"{job} ({shares[job]:.0%}, says {_SOURCES[claim.rank]})" for job, claim in claims.items()
    ]
    return Finding(_SECTION, "held by", Status.OK, "job " + ", ".join(texts))


def _quantities(survey: Survey) -> Iterator[Finding]:
    found = [
        {key.partition("|")[0] for key in (*device.counters, *device.gauges)}
        for device in survey.devices
        # An instance has little of its own by nature.
        if device.parent_uuid is None
    ]
    for name, columns, why in _QUANTITIES:
        count = sum(bool(have.intersection(columns)) for have in found)
        if count == len(found):
            yield Finding(_SECTION, name, Status.OK, ", ".join(columns))
        elif count:
            text = f"of {count} of {len(found)} GPUs; of the others: {why}"
            yield Finding(_SECTION, name, Status.OK, text)
        else:
            yield Finding(_SECTION, name, Status.ABSENT, why)


def _jobs(view: SlurmView) -> dict[str, LiveJob]:
    jobs = {}
    for key, (found, dirs, job_id) in view.jobs.items():
        job = jobs[key] = LiveJob(key, dirs, Base("unknown", {}, {}, 0.0, 0.0), None)
        job.job_id = job_id
        job.gpu_variables = learn(dirs, key, job_id, found.uid).gpu_variables
    return jobs
