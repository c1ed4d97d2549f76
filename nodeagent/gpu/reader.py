"""The agent's end of the process that asks drivers: no round waits for it for long."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nodeagent
from nodeagent.gpu.child import Child, Silent
from nodeagent.gpu.device import Survey
from nodeagent.paths import Paths

__all__ = ["ROUND_WAIT_S", "GpuReader"]

logger = logging.getLogger(__name__)

ROUND_WAIT_S = 0.25
"""All that a round waits for an answer; one that comes later is taken up by a later look."""
# A driver that does not answer by then hangs.
_LIMIT_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 600.0
_REPEAT_S = 600.0
# One of these is there where a driver is; without any, nothing is started.
_TRACES = (
    ("proc", "driver/nvidia/version"),
    ("sys", "module/nvidia"),
    ("sys", "module/amdgpu"),
    ("sys", "class/kfd"),
)
_WSL = Path("/dev/dxg")
# Neither site packages nor the user's environment have a say in it; and the package is found where
# the agent's own is, in its file or its folder.
_PROGRAM = (
    "import sys, types\n"
    "package = types.ModuleType('nodeagent')\n"
    "package.__path__ = [sys.argv[1]]\n"
    "sys.modules['nodeagent'] = package\n"
    "from nodeagent.gpu.worker import run\n"
    "sys.exit(run(sys.argv[2:]))\n"
)


class GpuReader:
    """Starts the process where there is a driver, asks it, and gives it up when it hangs."""

    def __init__(
        self,
        paths: Paths,
        nvml_path: Path | None,
        *,
        limit_s: float = _LIMIT_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = paths
        self._nvml_path = nvml_path
        self._limit_s = limit_s
        self._monotonic = monotonic
        self._child: Child | None = None
        self._asked_at: float | None = None
        self._not_before = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._left_behind: list[Child] = []
        self._said: dict[str, float] = {}
        self.hangs = 0
        """How often a driver did not answer in time."""

    def ask(self) -> None:
        """Ask for a look, if one can be had and none is under way."""
        now = self._monotonic()
        if self._asked_at is not None or now < self._not_before or not self.has_driver():
            return
        self._left_behind = [child for child in self._left_behind if not child.is_over()]
        if self._left_behind:
            # The kernel still holds it: another one would hang beside it.
            return
        try:
            if self._child is None:
                self._child = self._start()
            self._child.say(b"read")
            self._asked_at = now
        except (OSError, Silent) as failure:
            self._give_up(f"GPUs are not read: {failure}")

    def answer(self, wait_s: float = ROUND_WAIT_S) -> Survey | None:
        """Return the look asked for, if it is there after a short wait; None while it is not."""
        if self._asked_at is None or self._child is None:
            return None
        try:
            line = self._child.line(time.monotonic() + wait_s)
        except Silent as silence:
            waited_s = self._monotonic() - self._asked_at
            if waited_s >= self._limit_s:
                self.hangs += 1
                self._give_up(f"GPUs are not read: the driver hangs since {waited_s:.0f} s")
            elif self._child.is_over():
                self._give_up(f"GPUs are not read: the process that asks the driver: {silence}")
            return None
        try:
            survey = Survey.from_json(json.loads(line))
        except (ValueError, TypeError, KeyError) as wrong:
            self._give_up(f"GPUs are not read: no answer but {line[:100]!r} ({wrong})")
            return None
        self._asked_at = None
        self._pause_s = _FIRST_PAUSE_S
        for problem in survey.problems:
            self._say(problem)
        if not survey.sources:
            # Nothing to ask here now; drivers come with a reload or a package.
            self._end(_LONGEST_PAUSE_S)
        return survey

    def is_pending(self) -> bool:
        """Tell whether a look was asked for and is not there yet."""
        return self._asked_at is not None

    def has_driver(self) -> bool:
        """Tell whether there is anything to ask."""
        if self._nvml_path is not None:
            return True
        roots = {"proc": self._paths.proc, "sys": self._paths.sys}
        return any((roots[root] / name).exists() for root, name in _TRACES) or _WSL.exists()

    def close(self) -> None:
        """End the process, without waiting for it."""
        if self._child is not None:
            self._child.end()
            self._child = None
        self._asked_at = None

    def _start(self) -> Child:
        package = next(iter(nodeagent.__path__))
        library = str(self._nvml_path) if self._nvml_path is not None else ""
        python = sys.executable or "python3"
        return Child([python, "-I", "-S", "-c", _PROGRAM, package, library])

    def _give_up(self, text: str) -> None:
        self._say(f"{text}; again in {self._pause_s:.0f} s")
        pause_s = self._pause_s
        self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s)
        self._end(pause_s)

    def _end(self, pause_s: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()
            self._left_behind.append(child)
        self._asked_at = None
        self._not_before = self._monotonic() + pause_s

    def _say(self, text: str) -> None:
        now = self._monotonic()
        if now - self._said.get(text, float("-inf")) >= _REPEAT_S:
            self._said[text] = now
            logger.warning("%s", text)
