"""How many CPUs a job may use on this node, where Slurm confines it to some."""

from __future__ import annotations

from nodeagent.collector import JobCollector, NoData, Pace, Values
from nodeagent.job_dirs import JobDirs
from nodeagent.kernel_text import count_cpus

__all__ = ["COLLECTOR"]


def _read(job: JobDirs) -> Values:
    if job.has("cpuset"):
        text = _first(job, "cpuset", ("cpuset.effective_cpus", "cpuset.cpus"))
    elif job.has("v2"):
        # An empty cpuset.cpus means not confined: then the effective list is the parent's, no
        # allocation.
        if not job.read("v2", "cpuset.cpus").strip():
            raise NoData("not confined to CPUs")
        text = job.read("v2", "cpuset.cpus.effective")
    else:
        raise NoData("no cpuset controller")
    cpus = count_cpus(text)
    if cpus == 0:
        raise NoData("no CPUs set")
    return Values({}, {"cpus_allocated": cpus})


def _first(job: JobDirs, controller: str, names: tuple[str, ...]) -> str:
    for name in names:
        try:
            return job.read(controller, name)
        except NoData:
            continue
    raise NoData(names[-1])


COLLECTOR = JobCollector("job_cpuset", "CPUs allocated (cpuset)", Pace.ROUND, _read)
