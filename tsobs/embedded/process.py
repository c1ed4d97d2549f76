"""Running the external tools that the embedded database is made with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

from tsobs.embedded.accounts import Account

__all__ = ["HELD_LOCKS", "Progress", "ToolFailed", "clean_environment", "run_tool", "silent"]

Progress = Callable[[str], None]
"""Told in one line what is being done, before anything that takes longer than a moment."""

HELD_LOCKS: ContextVar[tuple[int, ...]] = ContextVar("held_locks", default=())
"""The open files of the locks that this thread holds."""

# Variables that would change what the tools do or the language they answer in.
UNWANTED = ("LANGUAGE", "LD_LIBRARY_PATH", "LD_PRELOAD", "TZ")


class ToolFailed(Exception):
    """A tool ended with an error; `output` is what it said, `returncode` negative for a signal."""

    def __init__(self, argv: Sequence[str], returncode: int, output: str) -> None:
        super().__init__(f"{Path(argv[0]).name} failed ({returncode}): {output.strip()}")
        self.returncode = returncode
        self.output = output


def silent(_line: str) -> None:
    """A `Progress` for callers that want none."""


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a tool: ours, in English, without PG* and loader variables."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k not in UNWANTED}
    return kept | {"LC_ALL": "C"} | dict(extra or {})


def run_tool(
    argv: Sequence[str | Path],
    *,
    account: Account | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    keep_fds: Sequence[int] | None = None,
    on_wait: Callable[[], None] | None = None,
    wait_s: float = 5.0,
) -> str:
    """Run a tool to its end and return what it printed; `on_wait` is called every `wait_s`.

    It inherits `keep_fds`, by default the locks that we hold: should we be killed, they stay taken
    until it has ended, too.
    Raises ToolFailed when it fails, and OSError when it cannot be started.
    """
    words = [str(word) for word in argv]
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=clean_environment(env),
        pass_fds=HELD_LOCKS.get() if keep_fds is None else keep_fds,
        text=True,
        errors="replace",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        umask=0o077 if account else 0o022,
    ) as process:
        try:
            output = _collect(process, on_wait, wait_s)
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise ToolFailed(words, process.returncode, output)
    return output


def _collect(
    process: subprocess.Popen[str], on_wait: Callable[[], None] | None, wait_s: float
) -> str:
    while True:
        try:
            return process.communicate(timeout=wait_s)[0]
        except subprocess.TimeoutExpired:
            if on_wait:
                on_wait()
