"""Runs a command that is to end with its parent, even when that is killed: `leash.py PARENT CMD…`.

A script of the standard library alone: it becomes the command, so the process is the command's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["leashed"]

_PR_SET_PDEATHSIG = 1


def leashed(command: Sequence[str]) -> list[str]:
    """The command line of `command` on a leash that this process holds."""
    return [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid()), *command]


def main(arguments: Sequence[str]) -> int:
    """Becomes the command; returns only when the parent is gone already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have died before we asked to be told.
    if os.getppid() != int(arguments[0]):
        return 1
    os.execv(arguments[1], list(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
