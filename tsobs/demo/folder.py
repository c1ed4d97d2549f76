"""The demo's own folder: database, simulation, agent and notes, apart from any other data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tsobs.embedded.locks import try_take
from tsobs.embedded.places import data_dir, make_folder
from tsobs.errors import SetupError

__all__ = ["Folder"]


class Folder:
    """The folder `demo` of the data folder, or the one given; absolute."""

    def __init__(self, given: Path | None = None) -> None:
        self.path = (given or data_dir() / "demo").absolute()
        self.simulation = self.path / "simulation.json"
        self.local_job = self.path / "local-job.json"
        self.agent = self.path / "agent"
        self.agent_log = self.path / "agent.log"
        self.token = self.path / "token"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Makes the folder and keeps other demos out of it; raises SetupError when one is in."""
        try:
            make_folder(self.path)
            lock = try_take(self.path / "demo.lock")
        except OSError as error:
            raise SetupError(
                f"cannot keep the demo's data in {self.path}: {error.strerror}. Choose another "
                "place with TSOBS_DATA_DIR or --data-dir"
            ) from error
        if lock is None:
            raise SetupError(
                f"another tsobs demo is running in {self.path}: stop it first, or give this one a "
                "folder of its own with --data-dir"
            )
        try:
            yield
        finally:
            os.close(lock)

    def clear(self) -> None:
        """Removes what a demo keeps here, and nothing else; the database must not run."""
        for path in (self.path / "postgres", self.agent):
            if path.exists():
                shutil.rmtree(path)
        for path in (self.simulation, self.local_job, self.agent_log, self.token):
            path.unlink(missing_ok=True)
