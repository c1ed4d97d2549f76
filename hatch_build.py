"""Compiles the decode kernel where that is possible; everything works without it, only slower.

hatchling runs this for wheels and editable installs, `make` runs it when kernel.c changes.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path(__file__).resolve().parent / "ingest" / "remotewrite"
SOURCE = FOLDER / "kernel.c"
KERNEL = FOLDER / "_kernel.abi3.so"
# One binary for every Python from 3.11 on, as kernel.c's Py_LIMITED_API says.
PYTHON_TAG = "cp311-abi3"
FLAGS = ("-O3", "-std=c11", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the kernel to what is built, or leaves it out and says why."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles before the files are collected."""
        reason = compile_kernel()
        if reason:
            self.app.display_warning(f"no compiled decode kernel, the pure one is used: {reason}")
            return
        self.app.display_info(f"compiled {KERNEL.name}")
        build_data["artifacts"].append(f"/{KERNEL.relative_to(Path(self.root)).as_posix()}")
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"{PYTHON_TAG}-{platform}"


def compile_kernel() -> str:
    """Compiles kernel.c beside itself; nothing, or why there is no kernel now."""
    # Not in place: a process may have the old one mapped, and a failure must not leave half of one.
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix=".kernel-") as folder:
        made = Path(folder) / KERNEL.name
        reason = compiler_reason() or _run(compile_command(made))
        if not reason and not made.is_file():
            reason = "the compiler made nothing"
        if reason:
            # One of an older source would not do what its callers expect.
            KERNEL.unlink(missing_ok=True)
        else:
            made.replace(KERNEL)
    return reason


def compile_command(made: Path) -> list[str]:
    """What compiles kernel.c to that file."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = f"-I{sysconfig.get_path('include')}"
    return [*compiler, *FLAGS, include, str(SOURCE), "-o", str(made)]


def compiler_reason() -> str:
    """Nothing, or what is missing on this machine to compile anything."""
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers are missing"
    return _run([compile_command(KERNEL)[0], "--version"])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
    return f"{command[0]} failed with status {done.returncode}: {lines[0]}"


def main() -> int:
    """Compiles if the kernel is not newer than what it is made of; a failure is no error."""
    newest = max(path.stat().st_mtime_ns for path in (SOURCE, Path(__file__)))
    if not KERNEL.exists() or KERNEL.stat().st_mtime_ns < newest:
        reason = compile_kernel()
        said = f"no compiled decode kernel, the pure one is used: {reason}" if reason else ""
        sys.stdout.write(f"{said or 'compiled ' + KERNEL.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
