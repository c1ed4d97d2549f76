"""The frame of all collectors: runs each, times it, and keeps its failure from stopping the
others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nodeagent.job_dirs import JobDirs
    from nodeagent.paths import Paths

__all__ = ["Frame", "JobCollector", "NoData", "NodeCollector", "Pace", "Values"]

logger = logging.getLogger(__name__)

# A collector that fails fails every round: say so once in this time.
_REPEAT_S = 600.0


class NoData(Exception):
    """There is nothing to read here, which is no fault: the value is absent."""


class Pace(IntEnum):
    """How often a collector of jobs runs; a job's first reading runs all."""

    ROUND = 0
    """Each round."""
    OFTEN = 1
    """Each round, and every few seconds between: counters worth having to the end of the job."""
    SECOND = 2
    """Each second: cheap, and what one asks of a job that has ended."""


class Values(NamedTuple):
    """What one collector read: counters by key (see counters.py), gauges by column, all in base
    units."""

    counters: dict[str, int]
    gauges: dict[str, float]


class JobCollector(NamedTuple):
    """Reads one subject of one job."""

    name: str
    help: str
    pace: Pace
    read: Callable[[JobDirs], Values]
    derive: Callable[[dict[str, int | None]], None] | None = None
    """Turns deltas of private columns (`_…`) into columns, in place."""


class NodeCollector(NamedTuple):
    """Reads one subject of the node."""

    name: str
    help: str
    read: Callable[[Paths], Values]


class _Run:
    """How one collector has fared so far."""

    def __init__(self) -> None:
        self.runs = 0
        self.failures = 0
        self.seconds = 0.0
        self.said_at = float("-inf")


class Frame:
    """Runs collectors that are not disabled; a failure is logged and counted, its values are
    absent."""

    def __init__(self, disabled: Iterable[str] = ()) -> None:
        self._disabled = frozenset(disabled)
        self._runs: dict[str, _Run] = {}

    def enabled(self, name: str) -> bool:
        """Tell whether a collector takes part."""
        return name not in self._disabled

    def read_job(self, collector: JobCollector, job: JobDirs) -> Values | None:
        """Return what a collector reads of a job; None when there is nothing or it failed."""
        return self._run(collector.name, lambda: collector.read(job))

    def read_node(self, collector: NodeCollector, paths: Paths) -> Values | None:
        """Return what a collector reads of the node; None when there is nothing or it failed."""
        return self._run(collector.name, lambda: collector.read(paths))

    def report(self) -> dict[str, tuple[int, int, float]]:
        """Return name → (runs, failures, seconds spent) since the start."""
        return {name: (run.runs, run.failures, run.seconds) for name, run in self._runs.items()}

    def _run(self, name: str, read: Callable[[], Values]) -> Values | None:
        if name in self._disabled:
            return None
        run = self._runs.get(name)
        if run is None:
            run = self._runs[name] = _Run()
        run.runs += 1
        start = time.perf_counter()
        try:
            return read()
        except (NoData, FileNotFoundError) as nothing:
            logger.debug("collector %s: no data: %s", name, nothing)
        except Exception as failure:
            run.failures += 1
            if start - run.said_at >= _REPEAT_S:
                run.said_at = start
                logger.exception("collector %s failed: %s", name, failure)
        finally:
            run.seconds += time.perf_counter() - start
        return None
