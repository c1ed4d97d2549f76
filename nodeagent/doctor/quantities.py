"""For every quantity of a job and of the node: is it measured here, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nodeagent.collector import NoData, Values
from nodeagent.collectors import JOB_COLLECTORS, NODE_COLLECTORS
from nodeagent.doctor.cgroups import SlurmView
from nodeagent.doctor.finding import Finding, Status
from nodeagent.job_dirs import JobDirs
from nodeagent.paths import Paths

__all__ = ["examine_jobs", "examine_node"]

_JOBS = "measured of jobs"
_NODE = "measured of the node"


class _Quantity(NamedTuple):
    """Columns that come and go together; why they may be absent on v1 and v2, and what to do:
    None where nothing is lost or nothing can be done."""

    name: str
    columns: tuple[str, ...]
    on_v1: tuple[str, str | None]
    on_v2: tuple[str, str | None]


_RAM = "ConstrainRAMSpace=yes in cgroup.conf, TaskPlugin=task/cgroup in slurm.conf"
_IO = (
    'let slurmd\'s start be followed by: echo "+io +pids" >'
    " /sys/fs/cgroup/system.slice/*slurmstepd.scope/cgroup.subtree_control"
)
_QUANTITIES = (
    _Quantity(
        "CPU time",
        ("_cpu_usage_s", "cpu_user_s", "cpu_system_s"),
        (
            "no cpuacct directory of the job",
            "JobAcctGatherType=jobacct_gather/cgroup in slurm.conf",
        ),
        ("no cpu.stat", None),
    ),
    _Quantity(
        "CPU throttling",
        ("cpu_throttled_s",),
        ("Slurm makes no cpu directory: it sets no quota either", None),
        ("the cpu controller is not on: there is no quota either", None),
    ),
    _Quantity(
        "CPUs allocated",
        ("cpus_allocated",),
        ("the job is not confined to CPUs", "ConstrainCores=yes in cgroup.conf"),
        ("the job is not confined to CPUs", "ConstrainCores=yes in cgroup.conf"),
    ),
    _Quantity(
        "memory in use",
        ("memory_used_bytes", "memory_rss_bytes"),
        ("no memory directory of the job", _RAM),
        ("the memory controller is not on", _RAM),
    ),
    _Quantity(
        "memory peak",
        ("memory_peak_bytes",),
        ("no memory directory of the job", _RAM),
        ("kernels before 5.19 keep none", None),
    ),
    _Quantity(
        "memory limit",
        ("memory_limit_bytes",),
        ("the job has none", _RAM),
        ("the job has none", _RAM),
    ),
    _Quantity(
        "swap",
        ("memory_swap_bytes",),
        ("the kernel does not account for swap", "boot with swapaccount=1"),
        ("the kernel does not account for swap", None),
    ),
    _Quantity(
        "OOM kills",
        ("oom_kills",),
        ("no memory directory of the job, or a kernel before 4.13", _RAM),
        ("the memory controller is not on", _RAM),
    ),
    _Quantity(
        "processes and threads",
        ("processes", "threads"),
        ("no directory", None),
        ("no files", None),
    ),
    _Quantity(
        "waiting (PSI)",
        ("cpu_pressure_some_s", "memory_pressure_some_s", "io_pressure_some_s"),
        ("a job's PSI is there on cgroup v2 only", "CgroupPlugin=cgroup/v2 on a v2 host"),
        ("the kernel keeps no PSI", "boot with psi=1"),
    ),
    _Quantity(
        "block I/O",
        ("io_read_bytes", "io_write_bytes", "io_read_ops", "io_write_ops"),
        ("Slurm makes no blkio directory for its jobs on v1", None),
        ("Slurm turns on cpuset, cpu and memory only for its jobs, so there is no io.stat", _IO),
    ),
)
_LATER = (("a job's energy", "not measured yet"),)


def examine_jobs(view: SlurmView) -> Iterator[Finding]:
    """Yield each quantity of jobs, as read from one that is here now."""
    job = next((dirs for _, dirs, _ in view.jobs.values() if _columns(dirs)), None)
    if job is None:
        text = "no job is here: run this again while one is, to see what its files give"
        yield Finding(_JOBS, "all", Status.ABSENT, text)
    else:
        found = _columns(job)
        for quantity in _QUANTITIES:
            yield _finding(quantity, found, view.version)
    for name, text in _LATER:
        yield Finding(_JOBS, name, Status.ABSENT, text)


def examine_node(paths: Paths) -> Iterator[Finding]:
    """Yield what each of the node's collectors reads, and what else the machine could tell."""
    for collector in NODE_COLLECTORS:
        reason = "nothing to read"
        try:
            values: Values | None = collector.read(paths)
        except (NoData, OSError) as nothing:
            values, reason = None, str(nothing)
        except (KeyError, ValueError, IndexError) as fault:
            values, reason = None, f"unreadable: {fault!r}"
        name = collector.help.partition(" (")[0]
        if values is None or not (values.counters or values.gauges):
            yield Finding(_NODE, name, Status.ABSENT, reason)
            continue
        count = len({key.partition(":")[2].partition("|")[0] for key in values.counters})
        yield Finding(_NODE, name, Status.OK, f"{count + len(values.gauges)} values")
    yield _energy(paths)


def _finding(quantity: _Quantity, found: set[str], version: str | None) -> Finding:
    if found.intersection(quantity.columns):
        # A private column is what others are made of.
        is_raw = any(name[0] == "_" and name in found for name in quantity.columns)
        shown = [name for name in quantity.columns if name[0] != "_" and (is_raw or name in found)]
        return Finding(_JOBS, quantity.name, Status.OK, ", ".join(shown))
    why, advice = quantity.on_v1 if version == "v1" else quantity.on_v2
    status = Status.ABSENT if advice is None else Status.WARNING
    return Finding(_JOBS, quantity.name, status, why, advice)


def _columns(dirs: JobDirs) -> set[str]:
    found: set[str] = set()
    for collector in JOB_COLLECTORS:
        try:
            values = collector.read(dirs)
        except (NoData, OSError, KeyError, ValueError):
            continue
        found |= {key.partition(":")[2].partition("|")[0] for key in values.counters}
        found |= {name for name in values.gauges if name != "_populated"}
    return found - {"_oom_killed"}


def _energy(paths: Paths) -> Finding:
    folder = paths.sys / "class" / "powercap"
    counters = sorted(folder.glob("*/energy_uj")) if folder.is_dir() else []
    if not counters:
        return Finding(_NODE, "energy", Status.ABSENT, "no RAPL counters in /sys/class/powercap")
    try:
        counters[0].read_text("ascii")
    except OSError as failure:
        text = f"{len(counters)} RAPL counters, not readable: {failure.strerror}"
        return Finding(_NODE, "energy", Status.WARNING, text, "run the agent as root")
    text = f"{len(counters)} readable RAPL counters, not used by this version"
    return Finding(_NODE, "energy", Status.ABSENT, text)
