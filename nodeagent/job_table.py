"""The jobs on this node: who came, who is there, who went, and what is stored of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nodeagent.clock import Instant
from nodeagent.collector import Frame, Pace
from nodeagent.counters import Base
from nodeagent.enquiry import Enquiry
from nodeagent.job_dirs import CgroupDir, FileBudget, JobDirs
from nodeagent.live_job import Final, LiveJob
from nodeagent.paths import Paths
from nodeagent.process_environ import Facts
from nodeagent.process_facts import oldest_start
from nodeagent.slurm_jobs import FoundJob
from nodeagent.users import Users

__all__ = ["JobTable"]

logger = logging.getLogger(__name__)

# Collectors of the pace OFTEN run every so many ticks, each job in its turn.
_OFTEN_TICKS = 5
_REPORTING_FILES = ("memory.events", "cgroup.events")
# A job that was just made, or whose process just ended, may be gone within the second.
_QUICK_FOR_S, _QUICK_S = 1.5, 0.1
# The kernel (v1) tells that memory ran out before it kills, and counts the kill some ms later.
_URGENT_FOR_S, _URGENT_S = 0.5, 0.02
# Ends that could not be written yet; one is about 1 KB.
_MAX_FINALS = 10_000


class JobTable:
    """Keeps a LiveJob for each job cgroup, and the ends of those that vanished until they are
    written."""

    def __init__(
        self,
        paths: Paths,
        frame: Frame,
        users: Users,
        budget: FileBudget,
        clock: Callable[[], Instant],
    ) -> None:
        self._paths = paths
        self._frame = frame
        self._users = users
        self._budget = budget
        self._clock = clock
        self._stored: dict[str, dict[str, Any]] = {}
        self._kind_of_new = "unknown"
        self._first_look = True
        self._ticks = 0
        self._enquiries: dict[str, Enquiry] = {}
        self.live: dict[str, LiveJob] = {}
        self.finals: list[Final] = []
        self.finals_lost = 0
        self.unnamed = 0
        """Jobs that ended before it was known what their SLUID stands for."""

    def restore(self, jobs: Mapping[str, Any], finals: list[Any], *, same_boot: bool) -> None:
        """Take up what was stored; after another boot all those jobs are gone."""
        self.finals = [Final(final) for final in finals]
        self._stored = dict(jobs)
        if same_boot:
            self._kind_of_new = "zero"
        else:
            self._end_stored()

    def look(self, found: Mapping[str, FoundJob]) -> bool:
        """Compare with what is there now: new jobs are read, vanished ones ended; tell whether any
        ended."""
        before = len(self.finals)
        for key in [name for name in self.live if name not in found]:
            self._end(key)
        for key, job in found.items():
            live = self.live.get(key)
            if live is None:
                self._add(job)
            elif live.dirs.dirs != job.dirs:
                self._moved(live, job)
        self._end_stored()
        self._kind_of_new = "zero"
        self._first_look = False
        return len(self.finals) != before

    def tick(self) -> None:
        """Read what is worth a look every second, and a fifth of the jobs in full."""
        self._ticks += 1
        for turn, job in enumerate(self.live.values(), self._ticks):
            if not job.parked:
                self._read(job, Pace.SECOND if turn % _OFTEN_TICKS else Pace.OFTEN)

    def read(self, key: str) -> None:
        """Read one job in full, if it is still there."""
        job = self.live.get(key)
        if job is not None and not job.parked:
            self._read(job)
            now = self._clock().boot
            job.quick_until = now + _QUICK_FOR_S
            if self._enquiries[key].notice():
                job.urgent_until = now + _URGENT_FOR_S

    def vanished(self, scope: str, found: Mapping[str, FoundJob]) -> dict[str, int]:
        """Return key → OOM kills last read of the jobs below a scope (v2) that are no longer
        found."""
        gone = {}
        for key, job in self.live.items():
            folder = job.dirs.dirs.get("v2")
            if key not in found and folder is not None and folder.path.startswith(f"{scope}/"):
                count = job.kills()
                if count is not None:
                    gone[key] = count
        return gone

    def renew(self, key: str) -> None:
        """Ask a job's processes anew: it has a new step."""
        if key in self._enquiries:
            self._enquiries[key].renew()

    def read_quick(self) -> bool:
        """Read the jobs that may soon be gone; tell whether there are any."""
        now = self._clock().boot
        quick = [job for job in self.live.values() if job.quick_until > now and not job.parked]
        for job in quick:
            self._read(job, Pace.SECOND)
        return bool(quick)

    def quick_s(self) -> float | None:
        """Return after how many seconds to look after the jobs that may soon be gone; None when
        there are none."""
        now = self._clock().boot
        if any(job.urgent_until > now for job in self.live.values()):
            return _URGENT_S
        return _QUICK_S if any(job.quick_until > now for job in self.live.values()) else None

    def handles(self) -> tuple[dict[int, str], dict[int, str]]:
        """Return descriptor → key twice: files that report (an OOM kill, the last process; v2),
        and what becomes readable when a leading process ends or memory runs out (v1)."""
        files, exits = {}, {}
        for key, job in self.live.items():
            if job.parked:
                continue
            for name in _REPORTING_FILES:
                handle = job.dirs.handle("v2", name)
                if handle is not None:
                    files[handle] = key
            exits.update(dict.fromkeys(self._enquiries[key].handles(), key))
        return files, exits

    def read_all(self) -> None:
        """Read all jobs in full, and end those whose cgroup was left behind empty."""
        for job in self.live.values():
            job.dirs.forget_missing()
            self._read(job)
            if not job.parked and job.is_empty_for_long():
                self._final(job)
                job.parked = True
                job.rebase(job.next_base())

    def document(self, bases: Mapping[str, Base]) -> dict[str, Any]:
        """Return the live jobs as they are stored, with these bases in place of their own."""
        return {
            name: _to_json(job, bases.get(name, job.base))
            for name, job in self.live.items()
            if _has_past(job, bases)
        }

    def close(self) -> None:
        """Close all files."""
        for key, job in self.live.items():
            job.dirs.close()
            self._enquiries[key].close()

    def _add(self, found: FoundJob) -> None:
        at = self._clock()
        dirs = JobDirs(self._paths, found.dirs, self._budget)
        stored = self._stored.pop(found.key, None)
        if stored is not None and not _same(stored["dirs"], found.dirs):
            self._final_of_stored(found.key, stored)
            stored = None
        if stored is not None:
            job = _from_json(found.key, stored, dirs)
        else:
            job = self._new(found, dirs, at)
        self.live[found.key] = job
        self._enquiries[found.key] = Enquiry()
        if job.uid is None:
            job.uid = found.uid
        if job.job_id is None:
            job.job_id = found.job_id
        if self._kind_of_new == "zero" and stored is None:
            job.quick_until = at.boot + _QUICK_FOR_S
        self._read(job)
        if job.base.kind == "unknown" and job.empty_since is not None:
            # Left behind before we came: no job any more, unless a process moves in.
            job.parked = True
            job.rebase(job.next_base())

    def _new(self, found: FoundJob, dirs: JobDirs, at: Instant) -> LiveJob:
        started_at = _made_at(found.dirs, at)
        if self._first_look:
            # It may be old, and the kernel may have forgotten when it made the directory: after a
            # squeeze it makes up the inode anew.
            oldest = oldest_start(dirs, at)
            started_at = min(started_at, oldest) if oldest is not None else started_at
        if self._kind_of_new == "unknown":
            base = Base("unknown", {}, {}, at.boot, at.wall)
        else:
            base = Base("zero", {}, {}, at.boot - (at.wall - started_at), started_at)
        return LiveJob(found.key, dirs, base, round(started_at, 3))

    def _moved(self, live: LiveJob, found: FoundJob) -> None:
        if _same(live.dirs.inodes(), found.dirs):
            live.dirs.move(found.dirs)
            # At once: a base that knows a directory must know its counters.
            self._read(live)
            return
        self._end(live.key)
        self._add(found)

    def _read(self, job: LiveJob, pace: Pace = Pace.ROUND) -> None:
        at = self._clock()
        job.read(self._frame, at, pace)
        self._enquiries[job.key].ask(job, at)
        if pace is Pace.ROUND and job.uid is not None and job.user_name is None:
            job.user_name = self._users.name(job.uid)
            if job.user_name is None and self._users.is_nameless(job.uid):
                job.user_name = job.facts.user_name

    def _end(self, key: str) -> None:
        job = self.live.pop(key)
        job.dirs.close()
        self._enquiries.pop(key).close()
        if not job.parked:
            self._final(job)

    def _final(self, job: LiveJob) -> None:
        if job.job_id is None:
            self.unnamed += 1
            logger.warning("%s ended before its job id was known: %s so far", job.key, self.unnamed)
            return
        self._append(job.final())

    def _end_stored(self) -> None:
        for key, stored in self._stored.items():
            self._final_of_stored(key, stored)
        self._stored = {}

    def _final_of_stored(self, key: str, stored: dict[str, Any]) -> None:
        if not stored["parked"]:
            self._final(_from_json(key, stored, JobDirs(self._paths, {}, self._budget)))

    def _append(self, final: Final) -> None:
        if len(self.finals) >= _MAX_FINALS:
            self.finals_lost += 1
            logger.error(
                "the end of job %s is lost: %s ends wait to be written",
                final["job"]["job_id"],
                _MAX_FINALS,
            )
            return
        self.finals.append(final)


def _has_past(job: LiveJob, bases: Mapping[str, Base]) -> bool:
    # A job that no row tells of yet stays out: absent from the state, it counts from zero after a
    # crash too.
    return job.key in bases or job.base.kind != "zero"


def _same(inodes: Mapping[str, int], dirs: Mapping[str, CgroupDir]) -> bool:
    """Tell whether it is the same cgroup: some controller still has its directory of then.

    Not by time: the kernel gives a directory new times when it drops and reloads the inode.
    """
    return any(
        controller in dirs and dirs[controller].inode == inode
        for controller, inode in inodes.items()
    )


def _made_at(dirs: Mapping[str, CgroupDir], at: Instant) -> float:
    times = [at.wall]
    for found in dirs.values():
        try:
            status = Path(found.path).stat()
        except OSError:
            continue
        times += [status.st_atime, status.st_mtime, status.st_ctime]
    return min(times)


def _to_json(job: LiveJob, base: Base) -> dict[str, Any]:
    return {
        "kind": base.kind,
        "counters": base.counters,
        "dirs": base.dirs or job.dirs.inodes(),
        "boot": base.boot,
        "wall": base.wall,
        "started_at": job.started_at,
        "job_id": job.job_id,
        "uid": job.uid,
        "user_name": job.user_name,
        "facts": job.facts._asdict(),
        "oom_killed": job.oom_killed,
        "parked": job.parked,
    }


def _from_json(key: str, stored: Mapping[str, Any], dirs: JobDirs) -> LiveJob:
    base = Base(stored["kind"], stored["counters"], stored["dirs"], stored["boot"], stored["wall"])
    job = LiveJob(key, dirs, base, stored["started_at"])
    job.job_id = stored["job_id"]
    job.facts = Facts(**stored["facts"])
    job.uid = stored["uid"]
    job.user_name = stored["user_name"]
    job.oom_killed = stored["oom_killed"]
    job.parked = stored["parked"]
    return job
