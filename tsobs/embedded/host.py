"""What the host is: its release, and from which suite it can be served."""

from __future__ import annotations

import platform
import shutil

from tsobs.errors import SetupError

__all__ = ["INSTALL_YOURSELF", "host_release", "suite_for"]

# Releases too old to have TimescaleDB ≥ 2.19, and the one that has it.
TOO_OLD = {"bullseye": "trixie", "bookworm": "trixie"}
TOOLS = ("apt-get", "apt-cache", "apt-config", "dpkg")
INSTALL_YOURSELF = (
    "Otherwise install PostgreSQL 16 or newer with TimescaleDB 2.19 or newer yourself (packages "
    "named like postgresql-17 with postgresql-17-timescaledb or timescaledb-2-postgresql-17), or "
    "give DATABASE_URL of a server that has them."
)


def host_release() -> str:
    """The code name of the host's release; raises SetupError where apt is not at home."""
    try:
        fields = platform.freedesktop_os_release()
    except OSError:
        fields = {}
    system = fields.get("PRETTY_NAME", "This system")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise SetupError(
            f"tsobs fetches its database with apt, and {system} has no {missing[0]}. "
            f"{INSTALL_YOURSELF}"
        )
    # A derivative names the release that its archive follows.
    for field in ("DEBIAN_CODENAME", "UBUNTU_CODENAME", "VERSION_CODENAME"):
        if codename := fields.get(field):
            return codename
    raise SetupError(
        f"tsobs fetches its database with apt, and {system} does not name its release "
        f"(VERSION_CODENAME in /etc/os-release). {INSTALL_YOURSELF}"
    )


def suite_for(codename: str) -> str:
    """The suite to fetch the database from on a host of release `codename`."""
    return TOO_OLD.get(codename, codename)
