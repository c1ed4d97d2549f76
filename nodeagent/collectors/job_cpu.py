"""CPU time of a job, in user and kernel mode, and the time its quota held it back."""

from __future__ import annotations

from nodeagent.collector import JobCollector, NoData, Pace, Values
from nodeagent.counters import counter_key
from nodeagent.job_dirs import JobDirs
from nodeagent.kernel_text import NS_PER_TICK, parse_flat

__all__ = ["COLLECTOR", "parse_cpu_stat", "parse_cpuacct", "split_usage"]

_NS_PER_US = 1_000
_USAGE, _USER, _SYSTEM = "_cpu_usage_s", "_cpu_user_s", "_cpu_system_s"


def parse_cpuacct(usage: str, stat: str) -> dict[str, int]:
    """Return v1's total in ns, which is exact, and its user and system parts, which are sampled."""
    parts = parse_flat(stat)
    return {
        _USAGE: int(usage),
        _USER: parts["user"] * NS_PER_TICK,
        _SYSTEM: parts["system"] * NS_PER_TICK,
    }


def split_usage(deltas: dict[str, int | None]) -> None:
    """Split v1's exact total by the sampled parts: cpuacct.usage_user + usage_sys miss up to a
    tenth of it.

    What is too short for a sample (under a tick) is counted as user time.
    """
    if _USAGE not in deltas:
        return
    usage, user, system = (deltas.pop(name, None) for name in (_USAGE, _USER, _SYSTEM))
    if usage is None or user is None or system is None:
        deltas["cpu_user_s"] = deltas["cpu_system_s"] = None
        return
    in_system = usage * system // (user + system) if user + system else 0
    deltas["cpu_user_s"] = usage - in_system
    deltas["cpu_system_s"] = in_system


def parse_cpu_stat(text: str) -> dict[str, int]:
    """Return the columns of v2's cpu.stat in ns; throttling only where the cpu controller is on."""
    values = parse_flat(text)
    columns = {
        "cpu_user_s": values["user_usec"] * _NS_PER_US,
        "cpu_system_s": values["system_usec"] * _NS_PER_US,
    }
    if "throttled_usec" in values:
        columns["cpu_throttled_s"] = values["throttled_usec"] * _NS_PER_US
    return columns


def _read(job: JobDirs) -> Values:
    counters: dict[str, int] = {}
    if job.has("cpuacct"):
        columns = parse_cpuacct(
            job.follow("cpuacct", "cpuacct.usage"), job.follow("cpuacct", "cpuacct.stat")
        )
        counters.update((counter_key("cpuacct", name), value) for name, value in columns.items())
    elif job.has("v2"):
        columns = parse_cpu_stat(job.follow("v2", "cpu.stat"))
        counters.update((counter_key("v2", name), value) for name, value in columns.items())
    counters.update(_throttled_v1(job))
    if not counters:
        raise NoData("no cpuacct and no cpu.stat")
    return Values(counters, {})


def _throttled_v1(job: JobDirs) -> dict[str, int]:
    try:
        throttled_ns = parse_flat(job.follow("cpu", "cpu.stat"))["throttled_time"]
    except (NoData, KeyError):
        return {}
    return {counter_key("cpu", "cpu_throttled_s"): throttled_ns}


COLLECTOR = JobCollector(
    "job_cpu", "CPU time (cpuacct.usage, cpu.stat)", Pace.SECOND, _read, split_usage
)
