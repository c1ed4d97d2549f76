from __future__ import annotations

import os
import sys

from tsobs.demo.leash import leashed, main


def test_the_command_is_told_who_holds_the_leash() -> None:
    command = leashed(["/bin/true", "x"])
    assert command[0] == sys.executable
    assert command[-3:] == [str(os.getpid()), "/bin/true", "x"]


def test_without_its_parent_nothing_is_run() -> None:
    somebody_else = os.getppid() + 1
    assert main([str(somebody_else), "/bin/false"]) == 1
