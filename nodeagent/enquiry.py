"""Asking a job's processes what its directory does not tell: often while it is young, then less and
less, and no more once all is known."""

from __future__ import annotations

import os
import select
from pathlib import Path

from nodeagent.clock import Instant
from nodeagent.live_job import LiveJob
from nodeagent.oom_notice import OomNotice
from nodeagent.paths import Paths
from nodeagent.process_facts import learn, owner_uid

__all__ = ["Enquiry"]

_FIRST_S = 0.1
_LONGEST_S = 120.0
# A job's steps are watched to their end through one process each, at most so many.
_MAX_LEADERS = 4


class Enquiry:
    """What is still to be found out about one job; and its leading processes, whose end is the best
    moment for a last reading."""

    def __init__(self) -> None:
        self._asked = 0
        self._ask_at = 0.0
        self._leaders: dict[int, int] = {}
        self._oom = OomNotice()

    def ask(self, job: LiveJob, at: Instant) -> None:
        """Ask if it is time to."""
        self._oom.cover(job.dirs)
        if at.boot < self._ask_at:
            return
        self._asked += 1
        self._ask_at = at.boot + min(_LONGEST_S, _FIRST_S * 1.5**self._asked)
        if job.uid is None and job.dirs.has("v2"):
            job.uid = owner_uid(job.dirs)
        learned = learn(job.dirs, job.key, job.job_id, job.uid)
        job.job_id = learned.job_id
        if learned.facts is not None:
            job.facts = learned.facts
            job.gpu_variables = learned.gpu_variables
        for pid in learned.leaders[:_MAX_LEADERS]:
            self._follow(job.dirs.paths, pid)
        if learned.facts is not None and job.uid is not None:
            self._ask_at = float("inf")

    def renew(self) -> None:
        """Ask again soon: there is a new step."""
        self._asked, self._ask_at = 0, 0.0

    def handles(self) -> list[int]:
        """Return descriptors that become readable when a leading process ends, or memory runs out
        (v1)."""
        return [*self._leaders.values(), *([self._oom.handle] if self._oom.handle >= 0 else [])]

    def notice(self) -> bool:
        """Let go of what was told; of the job's processes, others are asked again soon. Tell
        whether memory ran out."""
        is_oom = self._oom.drain()
        for pid, handle in list(self._leaders.items()):
            if select.select([handle], [], [], 0)[0]:
                os.close(handle)
                del self._leaders[pid]
                self.renew()
        return is_oom

    def close(self) -> None:
        """Let go of all; may be called again."""
        for handle in self._leaders.values():
            os.close(handle)
        self._leaders = {}
        self._oom.close()

    def _follow(self, paths: Paths, pid: int) -> None:
        # Kernels before 5.3 have no pidfd: there the look of each second has to do. And the number
        # in another /proc is not a process of ours.
        if pid in self._leaders or not hasattr(os, "pidfd_open") or paths.proc != Path("/proc"):
            return
        try:
            self._leaders[pid] = os.pidfd_open(pid)
        except OSError:
            return
