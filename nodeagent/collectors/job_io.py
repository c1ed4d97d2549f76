"""Block I/O of a job (not NFS or Lustre), where the io or blkio controller reaches it."""

from __future__ import annotations

import re
from collections.abc import Callable

from nodeagent.block_devices import is_stacked
from nodeagent.collector import JobCollector, NoData, Pace, Values
from nodeagent.counters import counter_key
from nodeagent.job_dirs import JobDirs

__all__ = ["COLLECTOR", "parse_blkio", "parse_io_stat"]

_V2_COLUMNS = {
    "rbytes": "io_read_bytes",
    "wbytes": "io_write_bytes",
    "rios": "io_read_ops",
    "wios": "io_write_ops",
}
_V1_FILES = {
    "blkio.throttle.io_service_bytes_recursive": ("io_read_bytes", "io_write_bytes"),
    "blkio.throttle.io_serviced_recursive": ("io_read_ops", "io_write_ops"),
}
_V1_LINE = re.compile(r"^(\d+:\d+) (Read|Write) (\d+)$", re.MULTILINE)

Skip = Callable[[str], bool]


def parse_io_stat(text: str, skip: Skip) -> dict[str, int]:
    """Return the columns of v2's io.stat, devices added up (an empty file: no I/O yet, zeros)."""
    totals = dict.fromkeys(_V2_COLUMNS.values(), 0)
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        if skip(device):
            continue
        for field in rest.split():
            name, _, value = field.partition("=")
            if name in _V2_COLUMNS:
                totals[_V2_COLUMNS[name]] += int(value)
    return totals


def parse_blkio(text: str, columns: tuple[str, str], skip: Skip) -> dict[str, int]:
    """Return (read, write) columns of a v1 blkio.throttle file, devices added up."""
    totals = dict.fromkeys(columns, 0)
    for device, kind, value in _V1_LINE.findall(text):
        if not skip(device):
            totals[columns[kind == "Write"]] += int(value)
    return totals


def _read(job: JobDirs) -> Values:
    def skip(device: str) -> bool:
        return is_stacked(job.paths, device)

    if job.has("blkio"):
        columns: dict[str, int] = {}
        for name, pair in _V1_FILES.items():
            columns.update(parse_blkio(job.read("blkio", name), pair, skip))
        controller = "blkio"
    elif job.has("v2"):
        columns = parse_io_stat(job.read("v2", "io.stat"), skip)
        controller = "v2"
    else:
        raise NoData("no blkio controller")
    return Values({counter_key(controller, name): n for name, n in columns.items()}, {})


COLLECTOR = JobCollector("job_io", "block I/O (blkio.throttle, io.stat)", Pace.OFTEN, _read)
