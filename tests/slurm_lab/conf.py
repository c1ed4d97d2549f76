"""The lab's slurm.conf and cgroup.conf: two nodes on one machine, loopback only."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

__all__ = ["CLUSTER", "HOOKS", "SEARCH_PATH", "config_texts"]

CLUSTER = "lab"
# Not everybody's has the system's programs in it.
SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# slurm.conf's name of each hook.
HOOKS = ("Prolog", "Epilog", "PrologSlurmctld", "EpilogSlurmctld", "JobCompLoc")
# All jobs run at once: each CPU is given to so many of them.
_SHARED_BY = 32
# What each node is said to have at most; a dozen jobs ask for 100 each.
_MEMORY_MIB = 4000
_SWAP_LIMIT = Path("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")

_SLURM_CONF = """\
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# How long a requeued job waits before it starts again.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldDebug=info
SlurmdDebug=info
MpiDefault=none
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
JobAcctGatherType=jobacct_gather/cgroup
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,batch_sched_delay=0,bf_interval=5
ReturnToService=2
KillWait=2
MinJobAge=600
PrologFlags=Alloc
JobCompType=jobcomp/script
{hooks}
{nodes}
PartitionName=debug Nodes=ALL Default=YES State=UP MaxTime=60 OverSubscribe=FORCE:{shared_by}
"""
_CGROUP_CONF = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainCores=yes
ConstrainRAMSpace=yes
ConstrainSwapSpace={swap}
AllowedSwapSpace=0
"""


def config_texts(folder: Path, nodes: tuple[str, ...]) -> dict[str, str]:
    """File name → text, for daemons whose files lie in the folder."""
    host = socket.gethostname().partition(".")[0]
    ctld_port, *ports = _free_ports(1 + len(nodes))
    cpus, memory_mib = _hardware()
    slurm_conf = _SLURM_CONF.format(
        cluster=CLUSTER,
        host=host,
        ctld_port=ctld_port,
        folder=folder,
        hooks="\n".join(f"{name}={folder}/hooks/{name}" for name in HOOKS),
        nodes="\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
            f" CPUs={cpus} RealMemory={min(memory_mib, _MEMORY_MIB)} State=UNKNOWN"
            for name, port in zip(nodes, ports, strict=True)
        ),
        shared_by=_SHARED_BY,
    )
    swap = "yes" if _SWAP_LIMIT.exists() else "no"
    return {
        "slurm.conf": slurm_conf,
        "cgroup.conf": _CGROUP_CONF.format(swap=swap),
        "plugstack.conf": "",
    }


def _free_ports(count: int) -> list[int]:
    """So many TCP ports of the loopback that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _hardware() -> tuple[int, int]:
    """CPUs and MiB as slurmd counts them: a node that is said to have more is not taken."""
    environment = {"PATH": SEARCH_PATH}
    done = subprocess.run(
        ["slurmd", "-C"], env=environment, capture_output=True, text=True, check=True
    )
    found = re.search(r"\bCPUs=(\d+) .*\bRealMemory=(\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1]), int(found[2])
