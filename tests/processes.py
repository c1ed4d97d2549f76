"""The programs as their users run them: processes of their own, which a test or benchmark may
kill."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.ports import private_port

__all__ = ["AgentProcess", "ServiceProcess"]

STOP_WITHIN_S = 30.0


class _Program:
    """A process that is ended, by force if need be, when the block is left."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._arguments = [sys.executable, "-m", *arguments]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TSOBS_")}
        self._environment = {**kept, **environment}
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it."""
        self._process = subprocess.Popen(
            self._arguments, env=self._environment, stdout=subprocess.PIPE, text=True
        )

    def kill(self) -> None:
        """Ends it as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ends it as an operator does; its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            return process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            assert process.stdout is not None
            process.stdout.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class ServiceProcess(_Program):
    """`tsobs serve` on a free port, the same one after a restart; settings as TSOBS_* variables."""

    def __init__(self, database_url: str, **settings: object) -> None:
        self.url = ""
        self._settings = {"port": private_port(), "log_level": "warning", **settings}
        self._database_url = database_url
        super().__init__(["tsobs", "serve"], {})

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        settings = {f"TSOBS_{name.upper()}": str(value) for name, value in self._settings.items()}
        self._environment = {**self._environment, **settings, "DATABASE_URL": self._database_url}
        super().start()
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"http://\S+", line):
                self.url = found.group()
                self._settings["port"] = int(self.url.rpartition(":")[2])
                return
        raise RuntimeError(f"the service did not start: {self._process.wait()}")


class AgentProcess(_Program):
    """`tsobs-agent`; settings as its flags."""

    def __init__(self, url: str, state_dir: Path, **settings: object) -> None:
        flags = {"url": url, "state_dir": state_dir, "log_level": "warning"}
        flags |= {"event_dir": "none", **settings}
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        super().__init__(["nodeagent", *arguments], {})
