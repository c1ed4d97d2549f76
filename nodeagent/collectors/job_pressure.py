"""Time in which a job waited for CPU, memory or I/O (PSI, cgroup v2 only)."""

from __future__ import annotations

from nodeagent.collector import JobCollector, NoData, Pace, Values
from nodeagent.counters import counter_key
from nodeagent.job_dirs import JobDirs
from nodeagent.kernel_text import parse_pressure

__all__ = ["COLLECTOR"]


def _read(job: JobDirs) -> Values:
    if not job.has("v2"):
        raise NoData("PSI is there on cgroup v2 only")
    counters = {}
    for subject in ("cpu", "memory", "io"):
        try:
            totals = parse_pressure(job.read("v2", f"{subject}.pressure"))
        except NoData:
            continue
        for kind, total in totals.items():
            counters[counter_key("v2", f"{subject}_pressure_{kind}_s")] = total
    if not counters:
        raise NoData("the kernel keeps no PSI")
    return Values(counters, {})


COLLECTOR = JobCollector("job_pressure", "waiting time (PSI, v2)", Pace.OFTEN, _read)
