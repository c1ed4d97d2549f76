"""Making the data of a new cluster, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tsobs.embedded.accounts import Account
from tsobs.embedded.process import run_tool
from tsobs.embedded.server import Server
from tsobs.errors import SetupError

__all__ = ["OWN_CONF", "data_major", "give", "make_data", "require_same_major"]

OWN_CONF = "tsobs.conf"
LOCAL_CONF = "local.conf"
DRAFT = "data.new-"
INCLUDES = f"""
# tsobs writes the first at each start; put settings of your own into the second.
include '{OWN_CONF}'
include_if_exists '{LOCAL_CONF}'
"""
BUILTIN_LOCALE_SINCE = 17


def make_data(
    pgdata: Path, server: Server, account: Account | None, *, user: str, password: str, sync: bool
) -> None:
    """Run initdb beside `pgdata` and rename the result to it; `user` is the superuser."""
    for leftover in pgdata.parent.glob(f"{DRAFT}*"):
        shutil.rmtree(leftover)
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=pgdata.parent))
    try:
        give(draft, account)
        _initdb(draft, server, account, user=user, password=password, sync=sync)
        with (draft / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(INCLUDES)
        draft.rename(pgdata)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _initdb(
    draft: Path, server: Server, account: Account | None, *, user: str, password: str, sync: bool
) -> None:
    words: list[str | Path] = [
        server.bin_dir / "initdb",
        "--pgdata",
        draft,
        "--username",
        user,
        "--auth=scram-sha-256",
    ]
    words += ["--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions"]
    if server.major >= BUILTIN_LOCALE_SINCE:
        # Sorts like C, yet knows the case of all letters, whatever the host's C library.
        words += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if not sync:
        words += ["--no-sync"]
    with tempfile.NamedTemporaryFile("w", dir=draft.parent, prefix=".password-") as file:
        file.write(password)
        file.flush()
        give(Path(file.name), account)
        run_tool([*words, "--pwfile", file.name], account=account, cwd=draft.parent)


def give(path: Path, account: Account | None) -> None:
    """Make `path` the server account's own, where that is not us."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def data_major(pgdata: Path) -> int | None:
    """The major version that made the data, or None when there are none."""
    try:
        return int((pgdata / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError):
        return None


def require_same_major(pgdata: Path, server: Server) -> None:
    """Raise SetupError when the data were made by another major version than `server`'s."""
    major = data_major(pgdata)
    if major is None:
        raise SetupError(
            f"{pgdata} is no PostgreSQL data folder (it has no PG_VERSION). Move it away, or "
            "choose another place with --data-dir."
        )
    if major != server.major:
        raise SetupError(
            f"The data in {pgdata} are of PostgreSQL {major}, and {server.bin_dir} has version "
            f"{server.version}. Give programs of version {major} with --bin-dir (to keep the data, "
            "dump them with those and load them into a new place), or choose another --data-dir."
        )
