"""Starting the server of a cluster, also after its predecessor was killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tsobs.embedded import postmaster, state
from tsobs.embedded.accounts import Account
from tsobs.embedded.disk import disk_error
from tsobs.embedded.initdb import OWN_CONF, give
from tsobs.embedded.locks import try_take
from tsobs.embedded.process import Progress, ToolFailed, run_tool
from tsobs.embedded.server import Server
from tsobs.embedded.tuning import render, server_settings, this_machine
from tsobs.errors import SetupError

__all__ = ["Launch"]

LOG_LINES = 15
# Between the look for a free port and the server's own bind another program may take it.
PORT_TRIES = 5
# A socket's path may have this many bytes; a deeper folder is served over loopback alone.
SOCKET_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class Launch:
    """One start: of which cluster, with what."""

    folder: Path
    server: Server
    account: Account | None
    durable: bool
    settings: Mapping[str, str]
    setting: str
    progress: Progress
    remember: Callable[[state.State], None]

    @property
    def pgdata(self) -> Path:
        """The server's data folder."""
        return self.folder / "data"

    def run(self, known: state.State, *, deadline_s: float) -> None:
        """Start and wait until connections are accepted; sets the port in `known`.

        Raises SetupError with the end of the server's log.
        """
        alive = self._take_over()
        try:
            self._clear_run_folder()
            for port in islice(state.free_ports(known.port), PORT_TRIES):
                if known.port and port != known.port:
                    self.progress(f"port {known.port} is taken; using {port}")
                known.port = port
                # Before the server is there: whoever finds it running must know its port.
                self.remember(known)
                if self._try_port(port, alive, deadline_s):
                    return
        finally:
            # The server and all its processes have inherited it: it stays locked while one lives.
            os.close(alive)
        raise SetupError("The database server finds no free port on 127.0.0.1.")

    def _take_over(self) -> int:
        """The lock that the server's processes hold while one of them lives."""
        path = self.folder / "server.lock"
        taken: list[int] = []

        def is_unused() -> bool:
            fd = try_take(path)
            taken.extend([] if fd is None else [fd])
            return fd is not None

        if not is_unused():
            self.progress("the former server was killed; ending what it left running …")
            if not postmaster.end_orphans(self.pgdata, is_unused):
                raise SetupError(
                    f"The data in {self.folder} are in use by a server that cannot be seen from "
                    "here, perhaps in another container or on another host. Stop it there."
                )
        return taken[0]

    def _clear_run_folder(self) -> None:
        """Remove what a killed server left: its process id may be another program's by now."""
        (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
        for name in ("run", "log"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
            give(self.folder / name, self.account)
        for leftover in (self.folder / "run").iterdir():
            leftover.unlink()

    def _try_port(self, port: int, alive: int, deadline_s: float) -> bool:
        """Start on that port; False when it was taken in the meantime."""
        self._write_conf(port)
        log = self.folder / "log/start.log"
        log.unlink(missing_ok=True)
        started_at = time.time()
        words: list[str | Path] = [self.server.bin_dir / "pg_ctl", "start", "--silent", "--wait"]
        words += [f"--timeout={deadline_s:.0f}", "--pgdata", self.pgdata, "--log", log]
        try:
            run_tool(words, account=self.account, cwd=self.folder, keep_fds=[alive])
        except ToolFailed as error:
            tail = self._log_since(started_at)
            # The log collector may still be writing why, so the port is asked, too.
            if "Address already in use" in tail or not state.is_free(port):
                return False
            with_log = ToolFailed(["pg_ctl"], error.returncode, error.output + tail)
            raise self._explained(with_log, tail) from error
        return True

    def _explained(self, error: ToolFailed, tail: str) -> SetupError:
        if full := disk_error(error, self.folder, setting=self.setting):
            return full
        said = "\n".join(f"    {line}" for line in (tail or error.output).splitlines())
        what = "did not start"
        if postmaster.find(self.pgdata) is not None:
            what = "is not ready yet, and goes on; run the same command again to wait for it"
        return SetupError(
            f"The database server in {self.folder} {what}. Its log ends with:\n{said}"
        )

    def _log_since(self, started_at: float) -> str:
        files = sorted((self.folder / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        fresh = [path for path in files if path.stat().st_mtime >= started_at - 1]
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in fresh]
        return "\n".join("".join(texts).splitlines()[-LOG_LINES:])

    def _write_conf(self, port: int) -> None:
        machine = this_machine(self.folder)
        ours = server_settings(machine, edition=self.server.edition, durable=self.durable)
        text = render({**ours, **self.settings, **self._addresses(port)})
        path = self.pgdata / OWN_CONF
        draft = path.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o600)
        give(draft, self.account)
        draft.replace(path)

    def _addresses(self, port: int) -> Mapping[str, str]:
        run = self.folder / "run"
        socket = run / f".s.PGSQL.{port}"
        usable = len(os.fsencode(socket)) <= SOCKET_PATH_BYTES and not set(str(run)) & set(",\"'")
        return {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(run) if usable else "",
            "unix_socket_permissions": "0700",
        }
