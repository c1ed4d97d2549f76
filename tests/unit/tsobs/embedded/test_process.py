from __future__ import annotations

import os
from pathlib import Path

import pytest

from tsobs.embedded.process import ToolFailed, clean_environment, run_tool


def test_output_is_returned(tmp_path: Path) -> None:
    assert run_tool(["sh", "-c", "pwd; echo warning >&2"], cwd=tmp_path) == f"{tmp_path}\nwarning\n"


def test_failure_carries_what_was_said() -> None:
    with pytest.raises(ToolFailed, match=r"sh failed \(3\): no such luck") as caught:
        run_tool(["/bin/sh", "-c", "echo no such luck; exit 3"])
    assert caught.value.returncode == 3


def test_waiting_is_reported() -> None:
    ticks: list[int] = []
    run_tool(["sleep", "0.3"], on_wait=lambda: ticks.append(1), wait_s=0.05)
    assert ticks


def test_an_interrupt_ends_the_tool(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    script = f"echo $$ > {tmp_path}/pid; exec sleep 60"
    with pytest.raises(KeyboardInterrupt):
        run_tool(["sh", "-c", script], on_wait=interrupt, wait_s=0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_environment_is_ours_without_what_would_mislead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PGHOST", "PGOPTIONS", "LD_LIBRARY_PATH", "LD_PRELOAD", "http_proxy"):
        monkeypatch.setenv(name, "x")
    environment = clean_environment({"PGPORT": "1"})
    assert environment["http_proxy"] == "x"
    assert environment["LC_ALL"] == "C"
    assert environment["PGPORT"] == "1"
    assert not {"PGHOST", "PGOPTIONS", "LD_LIBRARY_PATH", "LD_PRELOAD"} & environment.keys()
