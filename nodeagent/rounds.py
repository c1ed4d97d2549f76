"""What happens each second and each interval: look, read, build a batch, commit it."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from nodeagent import __version__, batch, clock, identity
from nodeagent.clock import CLOCK_TOLERANCE_S, Instant
from nodeagent.collector import Frame
from nodeagent.counters import Base
from nodeagent.gpu.readings import GpuBatch, GpuReadings
from nodeagent.inotify import Inotify
from nodeagent.job_dirs import FileBudget
from nodeagent.job_table import JobTable
from nodeagent.live_job import Row
from nodeagent.node_readings import NodeReadings
from nodeagent.outbox import Outbox
from nodeagent.paths import Paths
from nodeagent.scope_kills import ScopeKills
from nodeagent.slurm_jobs import SlurmTrees
from nodeagent.users import Users

__all__ = ["Rounds", "Subject"]

logger = logging.getLogger(__name__)

_REPEAT_S = 600.0
# The name under which the folders of new jobs are watched; no job's key.
_ARRIVALS = ""


class Subject(NamedTuple):
    """What the settings say about whom the agent speaks for; None where it has to find out."""

    interval_s: float = 15.0
    node_name: str | None = None
    node_aliases: tuple[str, ...] = ()
    cluster: str | None = None
    is_guest: bool = False
    """One of several slurmd's nodes on this machine: its jobs only, the machine speaks for
    itself."""


class Rounds:
    """Reads the jobs of one node name, and the node, and hands batches to the outbox."""

    def __init__(
        self,
        subject: Subject,
        paths: Paths,
        *,
        frame: Frame,
        outbox: Outbox | None,
        users: Users,
        budget: FileBudget,
        now: Callable[[], Instant] = clock.now,
        gpus: GpuReadings | None = None,
    ) -> None:
        self._subject = subject
        self._paths = paths
        self._outbox = outbox
        self._now = now
        self._trees = SlurmTrees(paths)
        self._node = NodeReadings(paths, frame)
        self._gpus = gpus
        self._gpu_batch: GpuBatch | None = None
        self.jobs = JobTable(paths, frame, users, budget, now)
        self._arrivals = Inotify()
        self._kills = ScopeKills()
        self._elsewhere: frozenset[str] = frozenset()
        self._boot_id = identity.boot_id(paths)
        self._machine_id = identity.machine_id(paths)
        self._cluster = subject.cluster
        # The name met in cgroup paths: after a restart on an idle node it is still the name.
        self._learned_name: str | None = None
        self._slurmd_name: str | None = None
        self._identity = self._find_identity()
        self._said: dict[str, float] = {}

    def restore(self, stored: Mapping[str, Any] | None) -> None:
        """Take up what was committed before, if anything."""
        if stored is None:
            return
        same_boot = stored["boot_id"] == self._boot_id and self._boot_id != ""
        self._learned_name = stored["learned_name"]
        self._machine_id = self._machine_id or stored["machine_id"]
        self.jobs.restore(stored["jobs"], stored["finals"], same_boot=same_boot)
        if same_boot:
            self._node.restore(stored["node"])
            if self._gpus is not None:
                self._gpus.restore(stored.get("gpus"))

    def tick(self) -> None:
        """Look who came and went, read what matters most; ends are committed at once."""
        if not self._trees.any(self._identity.owns):
            self._trees.refresh()
            if self._trees.nodes() - self._elsewhere:
                self._identity = self._find_identity()
        # Before the look: what is gone by then has its last reading.
        self.jobs.tick()
        if self._trees.may_have_changed(self._identity.owns):
            self._look()
        self._take_late_gpus()

    def handles(self) -> tuple[dict[int, str], dict[int, str]]:
        """Return descriptor → name for `glance` twice: files that report, and what becomes
        readable."""
        files, readable = self.jobs.handles()
        if self._arrivals.handle >= 0:
            readable[self._arrivals.handle] = _ARRIVALS
        return files, readable

    def glance(self, names: Iterable[str]) -> None:
        """Read some jobs at once, and look for new ones, because the kernel said that something
        happened."""
        for name in names:
            if name != _ARRIVALS:
                self.jobs.read(name)
                continue
            for key in self._arrivals.read() - {_ARRIVALS}:
                self.jobs.renew(key)
                self.jobs.read(key)
        self._look()

    def quick_s(self) -> float | None:
        """Return after how many seconds to look after jobs that may soon be gone, if any."""
        return self.jobs.quick_s()

    def look_quickly(self) -> None:
        """Look after the jobs that may soon be gone."""
        if self.jobs.read_quick():
            self._look()

    def leave(self, names: Iterable[str]) -> None:
        """Leave the jobs of these nodes to others."""
        self._elsewhere = frozenset(names)
        self._identity = self._find_identity()

    def foreign(self) -> frozenset[str]:
        """Return the node names in cgroup paths whose jobs are not read here."""
        return frozenset(name for name in self._trees.nodes() if not self._identity.owns(name))

    def round(self) -> None:
        """Read everything and commit one batch of it."""
        contents, bases, node_base = self.read()
        if self._outbox is None:
            return
        if self._outbox.is_full():
            self._say(
                "full",
                "the spool is full: use adds up into longer intervals until the service answers",
            )
            contents, bases, node_base, self._gpu_batch = [], {}, self._node.base, None
        if contents == [] and self._subject.is_guest and not self._outbox.is_full():
            return
        if self._keep(contents, bases, node_base):
            self._rebase(bases, node_base)

    def read(self) -> tuple[list[bytes], dict[str, Base], Base]:
        """Read everything; return the batches' contents and the bases that hold once they are
        kept."""
        if self._gpus is not None:
            # First: drivers take their time while the jobs are read.
            self._gpus.reader.ask()
        self._trees.refresh()
        self._identity = self._find_identity()
        self._compare()
        self._watch()
        self.jobs.read_all()
        hidden = sum(job.job_id is None for job in self.jobs.live.values())
        if hidden:
            self._say(
                "sluid",
                "%s jobs wait to be reported: what their SLUID stands for is hidden",
                hidden,
            )
        at = self._now()
        time_stamp = clock.stamp(at, self._subject.interval_s)
        node_row, node_base = None, self._node.base
        if not self._subject.is_guest:
            node_row, node_base = self._node.read(at, time_stamp)
        rows: dict[str, tuple[Row, Row | None]] = {}
        bases = {}
        for key, job in self.jobs.live.items():
            if not job.parked and job.job_id is not None:
                rows[key] = (job.entry(), job.row(time_stamp))
                bases[key] = job.next_base()
        contents = [self._finals_content()] if self.jobs.finals else []
        self._gpu_batch = self._look_at_gpus()
        if rows or not self._subject.is_guest:
            contents.append(self._content(rows, node_row))
        return contents, bases, node_base

    def look_first(self) -> None:
        """Read once and keep nothing, so that the next reading has something to count from."""
        _, bases, node_base = self.read()
        self._rebase(bases, node_base)

    def close(self) -> None:
        """Close what is open."""
        self.jobs.close()
        self._arrivals.close()
        if self._gpus is not None:
            self._gpus.reader.close()

    def _content(self, rows: dict[str, tuple[Row, Row | None]], node_row: Row | None) -> bytes:
        found = self._gpu_batch
        if found is None:
            return batch.content(self._header(), jobs=rows.values(), node_row=node_row)
        # Jobs of which only a GPU is told now.
        jobs = {**{key: (entry, None) for key, entry in found.jobs.items()}, **rows}
        places = {key: n for n, key in enumerate(jobs)}
        gpu_rows = [{**row, "job": places.get(row["job"])} for row in found.rows]
        return batch.content(
            self._header(),
            jobs=jobs.values(),
            node_row=node_row,
            gpus=found.gpus,
            gpu_rows=gpu_rows,
        )

    def _look_at_gpus(self, wait_s: float | None = None) -> GpuBatch | None:
        if self._gpus is None:
            return None
        survey = self._gpus.reader.answer(self._gpus.wait_s if wait_s is None else wait_s)
        if survey is None or not survey.devices:
            return None
        return self._gpus.take(survey, self.jobs.live, self._subject.interval_s)

    def _take_late_gpus(self) -> None:
        """Commit a look at the GPUs that was asked for at a job's end, or too slow for a round."""
        if self._gpus is None or self._outbox is None or not self._gpus.reader.is_pending():
            return
        if self._outbox.is_full():
            return
        self._gpu_batch = self._look_at_gpus(0.0)
        if self._gpu_batch is not None:
            self._keep([self._content({}, None)], {}, self._node.base)

    def _rebase(self, bases: Mapping[str, Base], node_base: Base) -> None:
        self._node.rebase(node_base)
        for key, base in bases.items():
            self.jobs.live[key].rebase(base)

    def _compare(self) -> bool:
        found = self._trees.jobs(self._identity.owns)
        for scope in self._trees.scopes(self._identity.owns):
            vanished = self.jobs.vanished(scope, found)
            if vanished:
                for key, count in self._kills.last_counts(scope, vanished).items():
                    if count > vanished[key]:
                        self.jobs.live[key].learn_kills(count)
        self._kills.keep(self._trees.scopes(self._identity.owns))
        return self.jobs.look(found)

    def _watch(self) -> None:
        for folder in self._trees.folders(self._identity.owns):
            self._arrivals.watch(folder, _ARRIVALS)
        for key, job in self.jobs.live.items():
            path = job.dirs.path()
            if path is not None:
                self._arrivals.watch(path, key)

    def _look(self) -> None:
        holders = set() if self._gpus is None else set(filter(self._gpus.holds, self.jobs.live))
        ended = self._compare()
        if self._gpus is not None and holders - self.jobs.live.keys():
            # What the device did so far was theirs.
            self._gpus.reader.ask()
        self._watch()
        if not ended or self._outbox is None:
            return
        contents = [] if self._outbox.is_full() else [self._finals_content()]
        self._keep(contents, {}, self._node.base)
        # The end of a job is news.
        self._outbox.hasten()

    def _keep(self, contents: list[bytes], bases: Mapping[str, Base], node_base: Base) -> bool:
        assert self._outbox is not None
        if self._machine_id is None:
            self._machine_id = secrets.token_hex(16)
        document = {
            "boot_id": self._boot_id,
            "machine_id": self._machine_id,
            "learned_name": self._learned_name,
            "jobs": self.jobs.document(bases),
            "node": self._node.to_json(node_base),
            "gpus": self._gpus.document(self._gpu_batch) if self._gpus is not None else {},
            "finals": [] if contents else self.jobs.finals,
        }
        kept = self._outbox.commit(document, contents, (self._machine_id, self._identity.name))
        if kept and contents:
            self.jobs.finals = []
        found, self._gpu_batch = self._gpu_batch, None
        if kept and found is not None and self._gpus is not None:
            self._gpus.keep(found, self.jobs.live)
        return kept

    def _finals_content(self) -> bytes:
        ends = [(final["job"], final["row"]) for final in self.jobs.finals]
        return batch.content(self._header(), jobs=ends, node_row=None)

    def _header(self) -> Row:
        if self._machine_id is None:
            self._machine_id = secrets.token_hex(16)
        if self._cluster is None:
            self._cluster = identity.cluster_name(self._paths)
        return {
            **self._clock_report(),
            "machine_id": self._machine_id,
            "agent_version": __version__,
            "interval_s": self._subject.interval_s,
            "cluster": self._cluster,
            "node": {
                "name": self._identity.name,
                "aliases": list(self._identity.aliases),
                "cpus": self._node.cpus,
                "memory_bytes": self._node.memory_bytes,
            },
        }

    def _clock_report(self) -> Row:
        offset_s = self._outbox.clock_offset_s if self._outbox is not None else None
        if offset_s is None or abs(offset_s) <= CLOCK_TOLERANCE_S:
            return {}
        return {"clock_offset_s": round(offset_s, 3)}

    def _find_identity(self) -> identity.Identity:
        # Where others speak for some of the names, the machine goes by its own.
        in_cgroups = self._trees.nodes() if not self._elsewhere else frozenset()
        if not (self._subject.node_name or in_cgroups or self._learned_name):
            self._slurmd_name = identity.slurmd_name(self._paths)
        found = identity.node_identity(
            setting=self._subject.node_name,
            aliases=self._subject.node_aliases,
            in_cgroups=in_cgroups,
            learned=self._learned_name,
            slurmd=self._slurmd_name if self._slurmd_name not in self._elsewhere else None,
        )
        if found.name in in_cgroups:
            self._learned_name = found.name
        if self._subject.is_guest:
            return identity.Identity(found.name, (), frozenset({found.name}), is_guest=True)
        return found._replace(cgroup_names=found.cgroup_names - self._elsewhere)

    def _say(self, subject: str, text: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._said.get(subject, float("-inf")) >= _REPEAT_S:
            self._said[subject] = now
            logger.warning(text, *values)
