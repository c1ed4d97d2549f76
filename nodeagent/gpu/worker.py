"""The process beside the agent that asks drivers, so that one that hangs holds nothing else.

A line in asks for one look, a line out (JSON) is the answer; it ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from nodeagent import clock
from nodeagent.gpu.child import Silent
from nodeagent.gpu.device import Survey

__all__ = ["Sources", "run"]

# A tool's time of its own, less than the agent waits for all.
_TOOL_LIMIT_S = 8.0
_TOOL_FOLDERS = ("/opt/rocm/bin", "/usr/local/bin", "/usr/bin", "/usr/sbin")


class _Source(Protocol):
    @property
    def name(self) -> str:
        """What it is called."""

    def read(self) -> Survey:
        """Return all devices of one vendor."""


class Sources:
    """Finds what can be asked on this machine, for each vendor the best, and asks it."""

    def __init__(self, nvml_path: str | None) -> None:
        self._nvml_path = nvml_path
        self._chosen: dict[str, _Source] = {}

    def read(self) -> Survey:
        """Return all devices there are; what fails is told in words and tried anew next time."""
        at = clock.now()
        survey = Survey(at.boot, at.wall)
        for vendor, finders in (("nvidia", (self._nvml, _nvidia_smi)), ("amd", (_amd, _rocm))):
            for find in finders:
                found, problem = self._ask(vendor, find)
                if problem is not None:
                    survey = survey._replace(problems=(*survey.problems, problem))
                if found is not None:
                    survey = _joined(survey, found)
                    break
        return survey

    def _ask(self, vendor: str, find: Callable[[], _Source]) -> tuple[Survey | None, str | None]:
        from nodeagent.gpu.nvml_library import NvmlError

        key = f"{vendor}:{find.__name__}"
        try:
            source = self._chosen.get(key)
            if source is None:
                source = self._chosen[key] = find()
            return source.read(), None
        except FileNotFoundError:
            return None, None
        except (OSError, Silent, NvmlError) as failure:
            self._chosen.pop(key, None)
            return None, f"{find.__name__.strip('_')}: {failure}"

    def _nvml(self) -> _Source:
        from nodeagent.gpu.nvml import NvmlSource
        from nodeagent.gpu.nvml_library import NvmlError, NvmlLibrary

        try:
            library = NvmlLibrary(self._nvml_path) if self._nvml_path else NvmlLibrary()
        except NvmlError as failure:
            if self._nvml_path is None and not Path("/proc/driver/nvidia").exists():
                # No driver, no device: not worth a word.
                raise FileNotFoundError(str(failure)) from failure
            raise
        return NvmlSource(library)


def _nvidia_smi() -> _Source:
    from nodeagent.gpu.nvidia_smi import NvidiaSmiSource

    _require("nvidia-smi")
    return NvidiaSmiSource(_TOOL_LIMIT_S)


def _amd() -> _Source:
    from nodeagent.gpu.amd_smi import AmdSmiSource

    _require("amd-smi")
    return AmdSmiSource(_TOOL_LIMIT_S)


def _rocm() -> _Source:
    from nodeagent.gpu.rocm_smi import RocmSmiSource

    _require("rocm-smi")
    return RocmSmiSource(_TOOL_LIMIT_S)


def _require(command: str) -> None:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    if not any(os.access(Path(folder, command), os.X_OK) for folder in folders):
        raise FileNotFoundError(command)


def _joined(one: Survey, other: Survey) -> Survey:
    return one._replace(
        devices=one.devices + other.devices,
        sources=one.sources + other.sources,
        problems=one.problems + other.problems,
    )


def run(arguments: Sequence[str]) -> int:
    """Answer until the input ends; the one argument is the path of NVIDIA's library, or nothing."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    folders += [folder for folder in _TOOL_FOLDERS if folder not in folders]
    os.environ["PATH"] = os.pathsep.join(filter(None, folders))
    sources = Sources(arguments[0] if arguments and arguments[0] else None)
    for _ in sys.stdin:
        sys.stdout.write(json.dumps(sources.read().to_json(), allow_nan=False) + "\n")
        sys.stdout.flush()
    return 0
