"""What doctor says of GPUs: sources, holders, what is not measured, and drivers that hang."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from nodeagent.doctor import gpus
from nodeagent.doctor.cgroups import view_slurm
from nodeagent.doctor.finding import Finding, Status
from nodeagent.gpu.reader import GpuReader
from tests.fix_gpu import Standin, gpu, mig, uuid_of
from tests.unit.nodeagent.conftest import Machine


def examine(machine: Machine, library: Path | None, *folders: Path) -> list[Finding]:
    reader = GpuReader(machine.paths, library)
    return list(gpus.examine_gpus(machine.paths, view_slurm(machine.paths), reader, folders))


def details(findings: list[Finding], subject: str) -> list[str]:
    return [finding.detail for finding in findings if finding.subject == subject]


def test_a_machine_without_gpus(machine: Machine) -> None:
    (finding,) = examine(machine, None)
    assert finding.status is Status.ABSENT
    assert "no driver" in finding.detail


def test_who_holds_what_and_what_is_missing(
    machine: Machine, standin: Standin, tmp_path: Path
) -> None:
    machine.replay("v1-oom-t0")
    standin.write(
        "driver 590.48.01",
        gpu(0, minor=3, power=70_000, energy=1, gpm=1, gpm2=5),
        gpu(1, mig=1, slots=7, power=90_000),
        mig(1, gi=1, ci=0, slices=3, used=1, total=2),
        gpu(2, fallen=1),
    )
    (tmp_path / uuid_of(0)).write_text("42 1000\n")
    found = examine(machine, standin.library, tmp_path)
    assert details(found, "source") == ["NVML (driver 590.48.01)"]
    assert details(found, "problem") == ["NVIDIA GPU 2 is lost"]
    assert details(found, "nvidia GPU") == [
        f"{uuid_of(0)}, NVIDIA H100, 0000:10:00.0, /dev/nvidia3",
        f"{uuid_of(1)}, NVIDIA H100, 0000:11:00.0, /dev/nvidia1,"
        " in MIG mode: jobs hold its instances",
    ]
    assert "43% of its compute" in details(found, "MIG instance")[0]
    assert details(found, "held by") == [
        "job 42 (100%, says a file of the prolog's)",
        "jobs hold its instances",
        "no job holds it",
    ]
    status = {finding.subject: finding.status for finding in found}
    assert status["power"] is Status.OK
    assert status["memory errors"] is Status.ABSENT
    assert "of 1 of 2 GPUs" in details(found, "energy")[0]
    assert "of 1 of 2 GPUs" in details(found, "profiling (SM, tensor, DRAM)")[0]


def test_a_driver_without_library_or_tool(
    machine: Machine, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.write("init 9")
    monkeypatch.setenv("PATH", "/usr/bin")
    found = examine(machine, standin.library)
    assert [finding.status for finding in found] == [Status.WARNING] * 2
    assert "nothing could be asked" in found[0].detail
    assert found[1].detail == "nvml: Driver Not Loaded"


def test_a_driver_that_hangs(
    machine: Machine, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "_LIMIT_S", 0.5)
    standin.write("hang_ms 600000", gpu(0))
    start = time.monotonic()
    (finding,) = examine(machine, standin.library)
    assert time.monotonic() - start < 5
    assert finding.status is Status.FAULT
    assert "does not answer" in finding.detail
    assert json.dumps(finding.advice)
