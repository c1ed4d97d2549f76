"""Which source is asked for what, and what happens when one fails."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from nodeagent.gpu.worker import Sources, run
from tests.fix_gpu import Standin, gpu, uuid_of

FIXTURES = Path(__file__).parents[3] / "fixtures" / "gpu"


def install(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which tools are found, beside the system's."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_both_vendors_on_one_node(standin: Standin, tools: Path) -> None:
    standin.write("driver 1.2", gpu(0))
    install(tools, "rocm-smi", f"cat {FIXTURES / 'rocm-smi-mi100_rocm602.json'}")
    survey = Sources(str(standin.library)).read()
    assert [device.vendor for device in survey.devices] == ["nvidia", *["amd"] * 4]
    assert survey.sources == ("NVML (driver 1.2)", "rocm-smi")
    assert survey.problems == ()


def test_without_the_library_the_tool_is_asked(standin: Standin, tools: Path) -> None:
    standin.write("init 9")
    install(tools, "nvidia-smi", f"cat {FIXTURES / 'nvidia-smi-h100-590.48.01.csv'}")
    sources = Sources(str(standin.library))
    survey = sources.read()
    assert [device.model for device in survey.devices] == ["NVIDIA H100 80GB HBM3"]
    assert survey.sources == ("nvidia-smi",)
    assert survey.problems == ("nvml: Driver Not Loaded",)
    # And the library again as soon as it works.
    standin.write(gpu(3))
    assert [device.uuid for device in sources.read().devices] == [uuid_of(3)]


def test_the_newer_tool_before_the_older(tools: Path) -> None:
    static, metric = (FIXTURES / f"amd-smi-rx6600-{name}.json" for name in ("static", "metric"))
    script = f'case $1 in static) cat {static};; metric) cat {metric};; *) echo "[]";; esac'
    install(tools, "amd-smi", script)
    install(tools, "rocm-smi", "exit 1")
    survey = Sources(None).read()
    assert survey.sources == ("amd-smi",)
    install(tools, "amd-smi", "echo no driver; exit 1")
    install(tools, "rocm-smi", f"cat {FIXTURES / 'rocm-smi-rx6700xt_rocm612.json'}")
    survey = Sources(None).read()
    assert survey.sources == ("rocm-smi",)
    assert survey.problems[0].startswith("amd: static ended with 1")


def test_a_machine_without_gpus_has_no_problem(tools: Path) -> None:
    survey = Sources(None).read()
    assert (survey.devices, survey.sources, survey.problems) == ((), (), ())


def test_a_line_in_is_a_line_out(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    standin.write(gpu(0))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(sys, "stdin", io.StringIO("read\nread\n"))
    assert run([str(standin.library)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [len(json.loads(line)["devices"]) for line in lines] == [1, 1]
