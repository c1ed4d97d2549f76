"""The simulated cluster as a whole: each step of time yields what hooks and agents would send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tsobs.demo.simulation.cluster import CLUSTER, GPU_MODEL, Node, make_nodes
from tsobs.demo.simulation.events import SCHEDULER, finished_event, started_event
from tsobs.demo.simulation.gpurows import GPU_MEMORY_BYTES, Holding, gpu_rows
from tsobs.demo.simulation.job import Run
from tsobs.demo.simulation.jobrows import Columns, JobRows, job_rows
from tsobs.demo.simulation.kinds import USERS
from tsobs.demo.simulation.noderows import Loads, node_rows
from tsobs.demo.simulation.schedule import Passed, Schedule
from tsobs.demo.simulation.window import Window

__all__ = ["Step", "World"]

AGENT_VERSION = "simulated"


class Step(NamedTuple):
    """What one window brought: event bodies, and each node's batch, yet without stream and seq."""

    started: Sequence[Mapping[str, Any]]
    batches: Mapping[str, Mapping[str, Any]]
    finished: Sequence[Mapping[str, Any]]


class World:
    """A cluster of `node_count` nodes that came to life at `at` (unix seconds, whole minutes)."""

    def __init__(self, node_count: int, seed: int, at: int) -> None:
        self.seed = seed
        self.nodes = make_nodes(node_count)
        self._schedule = Schedule(self.nodes, seed, at)
        self._loads = [Loads()] * len(self.nodes)

    @property
    def at(self) -> int:
        """The time that the cluster has reached, unix seconds."""
        return self._schedule.at

    @property
    def running(self) -> Sequence[Run]:
        """What runs at that time."""
        return self._schedule.running

    def step(self, window: Window) -> Step:
        """Let the window pass."""
        start = self.at
        if window.kind == "cut":
            passed = self._schedule.power_cut(window.until)
            batches = self._last_words(passed)
        else:
            passed = self._schedule.advance(window.until)
            batches = self._batches(passed, start, window)
        return Step(
            [started_event(run, self.nodes) for run in passed.started],
            batches,
            [finished_event(run) for run in passed.ended],
        )

    def to_json(self) -> dict[str, Any]:
        """The whole state as plain values."""
        return {
            "seed": self.seed,
            "nodes": len(self.nodes),
            "loads": [list(loads) for loads in self._loads],
            "schedule": self._schedule.to_json(),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> World:
        """The world behind `to_json`."""
        world = cls(stored["nodes"], stored["seed"], 0)
        world._loads = [Loads(*loads) for loads in stored["loads"]]
        world._schedule = Schedule.from_json(world.nodes, stored["seed"], stored["schedule"])
        return world

    def _last_words(self, passed: Passed) -> dict[str, dict[str, Any]]:
        """After a power cut agents have no samples to send, only which jobs are gone."""
        batches = {}
        for index, node in enumerate(self.nodes):
            runs = [run for run in passed.ended if any(p.node == index for p in run.places)]
            batches[node.name] = self._batch(node, runs, {}, passed)
            self._loads[index] = Loads()
        return batches

    def _batches(self, passed: Passed, start: int, window: Window) -> dict[str, dict[str, Any]]:
        batches = {}
        for index, node in enumerate(self.nodes):
            here: list[JobRows] = []
            holdings: list[list[Holding]] = [[] for _ in node.gpus]
            for run in passed.present:
                for ordinal, place in enumerate(run.places):
                    if place.node != index:
                        continue
                    rows = job_rows(run, ordinal, start, window.until, window.step_s)
                    if rows is None:
                        continue
                    for gpu in place.gpus:
                        holdings[gpu].append(Holding(run, ordinal, len(here)))
                    here.append(rows)
            batches[node.name] = self._node_batch(index, here, holdings, start, window, passed)
        return batches

    def _node_batch(
        self,
        index: int,
        jobs: Sequence[JobRows],
        holdings: Sequence[Sequence[Holding]],
        start: int,
        window: Window,
        passed: Passed,
    ) -> dict[str, Any]:
        node = self.nodes[index]
        span = (start, window.until, window.step_s)
        tables: dict[str, Columns] = {}
        gpus = gpu_rows(holdings, *span)
        tables["node_sample"], self._loads[index] = node_rows(
            node, jobs, gpus, self._loads[index], span
        )
        if jobs:
            names = jobs[0].columns
            tables["job_sample"] = {
                "job": np.repeat(np.arange(len(jobs)), [len(rows.times) for rows in jobs]),
                **{name: np.concatenate([rows.columns[name] for rows in jobs]) for name in names},
            }
        if gpus is not None:
            tables["gpu_sample"] = gpus
        return self._batch(node, [rows.run for rows in jobs], tables, passed)

    def _batch(
        self,
        node: Node,
        runs: Sequence[Run],
        tables: Mapping[str, Columns],
        passed: Passed,
    ) -> dict[str, Any]:
        ended = {run.job.job_id for run in passed.ended}
        gone = [run.job.job_id in ended for run in runs]
        jobs = [run.job for run in runs]
        return {
            "machine_id": f"simulated-{self.seed}-{node.name}",
            "agent_version": AGENT_VERSION,
            "cluster": CLUSTER,
            "node": {"name": node.name, "cpus": node.cpus, "memory_bytes": node.memory_bytes},
            "jobs": {
                "scheduler": [SCHEDULER] * len(jobs),
                "job_id": [str(job.job_id) for job in jobs],
                "user_name": [USERS[job.user].name for job in jobs],
                "uid": [USERS[job.user].uid for job in jobs],
                "started_at": [run.start_at for run in runs],
                "cpus": [job.cpus for job in jobs],
                "memory_bytes": [job.memory_bytes for job in jobs],
                "gone_at": [r.end_at if g else None for r, g in zip(runs, gone, strict=True)],
                "oom_killed": [
                    True if g and job.fate == "out_of_memory" else None
                    for job, g in zip(jobs, gone, strict=True)
                ],
            },
            "gpus": {
                "uuid": list(node.gpus),
                "vendor": ["nvidia"] * len(node.gpus),
                "model": [GPU_MODEL] * len(node.gpus),
                "memory_total_bytes": [GPU_MEMORY_BYTES] * len(node.gpus),
            },
            "tables": tables,
        }
