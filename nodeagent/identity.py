"""Who this agent speaks for: machine, boot, node name and cluster."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nodeagent.paths import Paths

__all__ = ["Identity", "boot_id", "cluster_name", "machine_id", "node_identity", "slurmd_name"]

logger = logging.getLogger(__name__)

_HEX32 = re.compile(r"[0-9a-f]{32}\Z")
_CLUSTER = re.compile(r"^\s*ClusterName\s*=\s*([^\s#]+)", re.IGNORECASE | re.MULTILINE)
# The last two are where slurmd keeps what a configless site sends it.
_SLURM_CONFS = (
    "etc/slurm/slurm.conf",
    "etc/slurm-llnl/slurm.conf",
    "run/slurm/conf/slurm.conf",
    "var/spool/slurmd/conf-cache/slurm.conf",
)


class Identity(NamedTuple):
    """The node's name, the other names it is known by, and the names in cgroup paths that are its
    own."""

    name: str
    aliases: tuple[str, ...]
    cgroup_names: frozenset[str]
    is_guest: bool = False
    """It is one of several nodes on this machine; directories without a name are the machine's."""

    def owns(self, cgroup_name: str | None) -> bool:
        """Tell whether jobs below a directory with this node name (None: without) are this
        node's."""
        if cgroup_name is None:
            return not self.is_guest
        return cgroup_name in self.cgroup_names


def machine_id(paths: Paths) -> str | None:
    """Return an id of this installation, 32 hex digits; None when it has none.

    A digest: systemd asks not to give its own id to the network.
    """
    try:
        text = (paths.etc / "machine-id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not _HEX32.match(text):
        return None
    return hashlib.sha256(b"tsobs-agent " + text.encode()).hexdigest()[:32]


def boot_id(paths: Paths) -> str:
    """Return the id of this boot; empty when the kernel does not tell."""
    try:
        return paths.read_proc("sys/kernel/random/boot_id").strip()
    except OSError:
        return ""


def cluster_name(paths: Paths) -> str | None:
    """Return ClusterName of the node's slurm.conf; None when there is none to read."""
    candidates = [paths.etc.parent / name for name in _SLURM_CONFS]
    for path in candidates:
        try:
            match = _CLUSTER.search(path.read_text("utf-8", "replace"))
        except OSError:
            continue
        if match:
            return match[1]
    return None


def slurmd_name(paths: Paths) -> str | None:
    """Return the name that a running slurmd was given with -N; None when there is none."""
    try:
        with os.scandir(paths.proc) as entries:
            pids = [entry.name for entry in entries if entry.name.isdigit()]
    except OSError:
        return None
    names = {name for name in (_name_argument(paths.proc / pid) for pid in pids) if name}
    return names.pop() if len(names) == 1 else None


def _name_argument(process: Path) -> str | None:
    try:
        words = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return None
    if words[0].rpartition("/")[2] != "slurmd":
        return None
    for word, following in zip(words[1:], words[2:]):
        if word == "-N":
            return following
    return None


def node_identity(
    *,
    setting: str | None,
    aliases: Iterable[str],
    in_cgroups: frozenset[str],
    learned: str | None,
    slurmd: str | None,
) -> Identity:
    """Settle the node's name: setting, else the one in cgroup paths (now or `learned` before),
    slurmd's, the host's.

    With several names in cgroup paths (several slurmd on one machine) the name is not taken from
    there.
    """
    host = os.uname().nodename
    short = host.partition(".")[0]
    if setting is not None:
        name = setting
    elif len(in_cgroups) == 1:
        (name,) = in_cgroups
    else:
        name = learned or slurmd or short
    others = {host, short, *aliases} - {name, "localhost", ""}
    own = frozenset({name, name.partition(".")[0], *aliases})
    return Identity(name, tuple(sorted(others)), own)
