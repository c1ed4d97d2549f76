"""A private database cluster in a folder: made, started, stopped, asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from tsobs.embedded import places, postmaster, state
from tsobs.embedded.accounts import Account, check_reachable, server_account
from tsobs.embedded.disk import disk_errors, require_free
from tsobs.embedded.initdb import data_major, give, make_data, require_same_major
from tsobs.embedded.launch import Launch
from tsobs.embedded.locks import exclusive
from tsobs.embedded.process import Progress, ToolFailed, run_tool, silent
from tsobs.embedded.server import Server, find_server, inspect
from tsobs.errors import SetupError

__all__ = ["Cluster", "Status", "ensure_running"]

USER = "tsobs"
DATABASE = "tsobs"
SETTING = "TSOBS_DATA_DIR (or --data-dir)"
MINIMUM_FREE_BYTES = 150_000_000  # a new cluster with its first WAL segments, and room to work
START_S = 60.0
STOP_S = 60.0
LOCK_WAIT_S = 180.0


def ensure_running(
    data_dir: Path | None = None, *, bin_dir: Path | None = None, progress: Progress = silent
) -> str:
    """Fetch, make and start whatever is not there yet, and return the DSN; raises SetupError.

    Blocks for milliseconds when it runs already and for a minute the first time ever.
    """
    cluster = Cluster(data_dir, bin_dir, progress=progress)
    cluster.start()
    return cluster.url()


@dataclass(frozen=True, slots=True)
class Status:
    """Where a cluster stands; `pid` and `port` are None when it does not run."""

    running: bool
    pid: int | None
    port: int | None


class Cluster:
    """The cluster in the folder `postgres` of `data_dir` (None: the usual place).

    The folder holds `data` (PGDATA), `run` (the socket), `log` and `state.json` (port, password).
    `bin_dir` gives the programs (None: those it was last started with, else found or fetched).
    `durable=False` is for tests: a crash of the machine may then lose the data. `settings` are
    server settings that go before ours.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        bin_dir: Path | None = None,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        progress: Progress = silent,
    ) -> None:
        self.folder = (data_dir or places.data_dir()).absolute() / "postgres"
        self.pgdata = self.folder / "data"
        self.durable = durable
        self.settings = dict(settings or {})
        self.progress = progress
        self._bin_dir = bin_dir

    @cached_property
    def server(self) -> Server:
        """The programs; looked for, and perhaps fetched, when first asked for."""
        if self._bin_dir is not None:
            return inspect(self._bin_dir)
        known = state.load(self._state_path)
        if known is not None and known.bin_dir:
            # They may have been removed since, or upgraded to what no longer fits.
            with suppress(SetupError):
                return inspect(Path(known.bin_dir))
        return find_server(major=data_major(self.pgdata), progress=self.progress)

    def start(self, *, deadline_s: float = START_S) -> None:
        """Make the cluster where there is none, and start it where it does not run.

        Safe at any time and from any number of processes. Raises SetupError with what to do.
        """
        with self._locked("starting the database"):
            known = state.load(self._state_path) or state.State.new()
            if postmaster.find(self.pgdata) is None:
                self._launch(known, deadline_s)
            elif not postmaster.wait_until(lambda: postmaster.is_ready(self.pgdata), deadline_s):
                raise SetupError(
                    f"The database server in {self.folder} has not become ready in "
                    f"{deadline_s:.0f} s; see {self.folder / 'log'}."
                )
            if not known.database_made:
                self._make_database(known)

    def stop(self, *, deadline_s: float = STOP_S) -> bool:
        """End the server and wait for it; returns whether it ran."""
        if not self.pgdata.exists():
            return False
        with self._locked("starting or stopping the database"):
            return postmaster.stop(self.pgdata, deadline_s=deadline_s)

    def status(self) -> Status:
        """Where it stands now."""
        pid = postmaster.find(self.pgdata)
        known = state.load(self._state_path) if pid else None
        return Status(running=pid is not None, pid=pid, port=known.port if known else None)

    def url(self, database: str = DATABASE) -> str:
        """The DSN, with the password; raises SetupError before a first start."""
        known = state.load(self._state_path)
        if known is None or not known.port:
            raise SetupError(f"There is no database in {self.folder} yet; run: tsobs db start")
        return f"postgresql://{USER}:{known.password}@127.0.0.1:{known.port}/{database}"

    def psql(self, arguments: Sequence[str] = ()) -> NoReturn:
        """Become psql on it; raises SetupError when it does not run."""
        known = state.load(self._state_path)
        if known is None or not self.status().running:
            raise SetupError("The database is not running; run: tsobs db start")
        psql = self.server.bin_dir / "psql"
        # The user's own language, pager and terminal, unlike for the tools we read from.
        os.execve(psql, [str(psql), *arguments], {**os.environ, **_client_environment(known)})

    @property
    def _state_path(self) -> Path:
        return self.folder / "state.json"

    def _remember(self, known: state.State) -> None:
        state.save(self._state_path, known)

    @contextmanager
    def _locked(self, doing: str) -> Iterator[None]:
        account = server_account(self.pgdata)
        with disk_errors(self.folder, setting=SETTING):
            places.make_folder(self.folder.parent)
            check_reachable(self.folder.parent, account, setting=SETTING)
            if not self.folder.exists():
                self.folder.mkdir(mode=0o700, exist_ok=True)
                give(self.folder, account)
            lock = self.folder / "tsobs.lock"
            with exclusive(lock, doing=doing, progress=self.progress, wait_s=LOCK_WAIT_S):
                yield

    def _launch(self, known: state.State, deadline_s: float) -> None:
        account = server_account(self.pgdata)
        check_reachable(self.server.bin_dir, account, setting="TSOBS_CACHE_DIR (or --bin-dir)")
        if self.pgdata.exists():
            require_same_major(self.pgdata, self.server)
        else:
            self._make(known, account)
        known.bin_dir = str(self.server.bin_dir)
        Launch(
            folder=self.folder,
            server=self.server,
            account=account,
            durable=self.durable,
            settings=self.settings,
            setting=SETTING,
            progress=self.progress,
            remember=self._remember,
        ).run(known, deadline_s=deadline_s)

    def _make(self, known: state.State, account: Account | None) -> None:
        require_free(self.folder, MINIMUM_FREE_BYTES, "A new database", setting=SETTING)
        self.progress(f"making a database in {self.folder} …")
        # The password is noted first: data whose password nobody knows would be of no use.
        known.database_made = False
        self._remember(known)
        try:
            make_data(
                self.pgdata,
                self.server,
                account,
                user=USER,
                password=known.password,
                sync=self.durable,
            )
        except ToolFailed as error:
            with disk_errors(self.folder, setting=SETTING):
                raise
            raise SetupError(f"The database cannot be made: {error}") from error

    def _make_database(self, known: state.State) -> None:
        try:
            environment = _client_environment(known)
            run_tool([self.server.bin_dir / "createdb", DATABASE], env=environment)
        except ToolFailed as error:
            # It was made by a start that was killed before it could note that.
            if "already exists" not in error.output:
                raise SetupError(f"The database cannot be made: {error}") from error
        known.database_made = True
        self._remember(known)


def _client_environment(known: state.State) -> Mapping[str, str]:
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(known.port),
        "PGUSER": USER,
        "PGDATABASE": DATABASE,
        "PGPASSWORD": known.password,
    }
