"""Runs a hook as Slurm does: in an almost empty environment, with folders of the test's own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["DEAD_URL", "HOOKS", "MOST_S", "Hooks", "Ran"]

ROOT = Path(__file__).resolve().parents[3]
HOOKS = ROOT / "scripts" / "slurm"
# What the issue allows a hook, whatever is broken.
MOST_S = 5.0
# Nobody listens here.
DEAD_URL = "http://127.0.0.1:1"

# As Slurm runs scontrol, but with the recorded answer of a controller.
_SCONTROL = """#!/bin/bash
printf '%s\\n' "$*" >>"{folder}/scontrol.asked"
case "$*" in
    *--json*) [ -e "{folder}/job.json" ] && exec cat "{folder}/job.json" ;;
    *) [ -e "{folder}/job.txt" ] && exec cat "{folder}/job.txt" ;;
esac
exit 1
"""


class Ran(NamedTuple):
    """One run of a hook: exit status, seconds, what it printed."""

    status: int
    took_s: float
    printed: str


class Hooks:
    """Runs hooks with folders of their own below `folder`; `programs` comes first in their PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.log = folder / "hooks.log"
        self.state = folder / "state"
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.settings: dict[str, str] = {
            "URL": DEAD_URL,
            "CONFIG": str(folder / "hooks.conf"),
            "SPOOL": str(self.spool),
            "LOG": str(self.log),
            "STATE": str(self.state),
            "PATH": str(self.programs),
            "PROC_ROOT": str(folder / "proc"),
            "GPUSTAT": str(folder / "gpustat"),
        }
        self.answer()

    def program(self, name: str, text: str) -> None:
        """Puts a program before the system's."""
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def answer(self, as_json: str | None = None, as_text: str | None = None) -> None:
        """What scontrol says from now on; without both it fails."""
        self.program("scontrol", _SCONTROL.format(folder=self.folder))
        for name, text in (("job.json", as_json), ("job.txt", as_text)):
            (self.folder / name).unlink(missing_ok=True)
            if text is not None:
                (self.folder / name).write_text(text)

    def asked(self) -> list[str]:
        """The arguments that scontrol was run with."""
        path = self.folder / "scontrol.asked"
        return path.read_text().splitlines() if path.exists() else []

    def run(
        self,
        hook: str,
        environment: Mapping[str, str | bytes],
        *,
        prefix: tuple[str, ...] = (),
        path: Path = HOOKS,
        **settings: Any,
    ) -> Ran:
        """Runs it to its end, as slurmd does; `settings` are OBSERVABILITY_* variables."""
        ours = {f"OBSERVABILITY_{k}": v for k, v in (self.settings | settings).items()}
        began = time.monotonic()
        done = subprocess.run(
            [*prefix, str(path / f"{hook}.sh")],
            env={**{k: v for k, v in ours.items() if v}, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=self.folder,
            timeout=30,
        )
        took_s = time.monotonic() - began
        return Ran(done.returncode, took_s, done.stdout.decode(errors="replace"))

    def waiting(self) -> list[Path]:
        """The events in the spool, the oldest first."""
        return sorted(self.spool.glob("*.job-*.json"))

    def told(self, hook: str, environment: Mapping[str, str | bytes], **settings: Any) -> Any:
        """The one event that the hook made (the service being away)."""
        before = set(self.waiting())
        ran = self.run(hook, environment, **settings)
        assert ran.status == 0
        assert ran.took_s < MOST_S
        (path,) = set(self.waiting()) - before
        return json.loads(path.read_bytes())

    def logged(self) -> str:
        """The log."""
        return self.log.read_text() if self.log.exists() else ""
