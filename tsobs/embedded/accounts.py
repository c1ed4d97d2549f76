"""Who the database server runs as: ourselves, or an unprivileged account when we are root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from tsobs.errors import SetupError

__all__ = ["Account", "check_reachable", "server_account"]

# PostgreSQL refuses to run as root; the first of these that exists is taken instead.
UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A system account to drop to."""

    name: str
    uid: int
    gid: int


def server_account(pgdata: Path) -> Account | None:
    """The account to drop to, or None when the server runs as the caller.

    Data that are there already keep their owner. Raises SetupError when no account is to be had,
    or when the caller's uid is in no passwd database (PostgreSQL refuses to run for such a uid).
    """
    if os.geteuid() != 0:
        _require_passwd_entry(os.geteuid())
        return None
    if pgdata.exists() and (owner := pgdata.stat()).st_uid != 0:
        _require_passwd_entry(owner.st_uid)
        return Account(pwd.getpwuid(owner.st_uid).pw_name, owner.st_uid, owner.st_gid)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise SetupError(
        "PostgreSQL does not run as root, and there is neither an account 'postgres' nor 'nobody' "
        "to run it as. Start tsobs as an ordinary user, or give DATABASE_URL."
    )


def _require_passwd_entry(uid: int) -> None:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise SetupError(
            f"The user id {uid} has no entry in the passwd database, and PostgreSQL does not run "
            "without one. Run as a user with a name, or give DATABASE_URL."
        ) from None


def check_reachable(path: Path, account: Account | None, *, setting: str) -> None:
    """Raise SetupError naming `setting` when `account` may not enter `path` or a folder above."""
    if account is None:
        return
    for folder in [path, *path.parents]:
        try:
            info = folder.stat()
        except FileNotFoundError:
            continue
        if not _may_enter(info, account):
            raise SetupError(
                f"As root, the database server runs as '{account.name}', which may not enter "
                f"{folder} (mode {stat.S_IMODE(info.st_mode):04o}). Choose a place that it can "
                f"reach with {setting}."
            )


def _may_enter(info: os.stat_result, account: Account) -> bool:
    if info.st_uid == account.uid:
        return bool(info.st_mode & stat.S_IXUSR)
    if info.st_gid == account.gid:
        return bool(info.st_mode & stat.S_IXGRP)
    return bool(info.st_mode & stat.S_IXOTH)
