from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tsobs.embedded.accounts import Account, check_reachable, server_account
from tsobs.errors import SetupError


def entry(name: str, uid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh"))


@pytest.fixture
def passwd(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    known: dict[str, int] = {}

    def by_name(name: str) -> pwd.struct_passwd:
        return entry(name, known[name])

    def by_uid(uid: int) -> pwd.struct_passwd:
        return next(
            (entry(name, own) for name, own in known.items() if own == uid), None
        ) or _missing(uid)

    monkeypatch.setattr(pwd, "getpwnam", by_name)
    monkeypatch.setattr(pwd, "getpwuid", by_uid)
    return known


def _missing(uid: int) -> pwd.struct_passwd:
    raise KeyError(uid)


def become(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_an_ordinary_user_stays_itself(
    passwd: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passwd["alice"] = 1000
    become(monkeypatch, 1000)
    assert server_account(tmp_path) is None


def test_a_user_without_a_name_is_told(
    passwd: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    become(monkeypatch, 12345)
    with pytest.raises(SetupError, match="user id 12345 has no entry"):
        server_account(tmp_path)


def test_root_drops_to_postgres_or_nobody(
    passwd: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    become(monkeypatch, 0)
    none_yet = tmp_path / "data"
    with pytest.raises(SetupError, match="does not run as root"):
        server_account(none_yet)
    passwd["nobody"] = 65534
    assert server_account(none_yet) == Account("nobody", 65534, 65534)
    passwd["postgres"] = 115
    assert server_account(none_yet) == Account("postgres", 115, 115)


def test_data_that_are_there_keep_their_owner(
    passwd: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, 65534)
    owner = tmp_path.stat()
    passwd |= {"postgres": 115, "owner": owner.st_uid}
    become(monkeypatch, 0)
    assert server_account(tmp_path) == Account("owner", owner.st_uid, owner.st_gid)


def test_a_closed_folder_above_is_named(tmp_path: Path) -> None:
    account = Account("postgres", 999_999, 999_999)
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            closed = folder  # pytest's own folders are closed, too
    closed.chmod(0o700)
    with pytest.raises(SetupError, match=f"'postgres', which may not enter .*{closed.name}"):
        check_reachable(tmp_path / "closed/inside/new", account, setting="TSOBS_X")
    check_reachable(tmp_path / "closed/inside/new", None, setting="TSOBS_X")


def test_owners_and_groups_have_bits_of_their_own(tmp_path: Path) -> None:
    own = Account("me", os.getuid(), os.getgid())
    (tmp_path / "mine").mkdir(mode=0o700)
    check_reachable(tmp_path / "mine", own, setting="TSOBS_X")
    (tmp_path / "mine").chmod(0o077)
    with pytest.raises(SetupError, match="mode 0077"):
        check_reachable(tmp_path / "mine", own, setting="TSOBS_X")
    (tmp_path / "mine").chmod(0o700)
