"""What a small cluster sends, made from a seed, and a check that the database holds exactly that:
every row once, and in every total what the naive reference counts."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.batches import Agent, dyadic_row, job
from tests.integration.ingest.sending import Stored
from tests.unit.ingest.naive import gpu_totals, job_gpu_totals, job_node_totals, node_totals
from tsobs.columns import TABLES

__all__ = ["Traffic", "check_stored"]

# Each job runs on the nodes with these numbers.
JOBS_ON = {"10": (0,), "11": (0, 1), "12": (1, 2), "13": (0, 1, 2)}

Rows = list[dict[str, Any]]


class Traffic:
    """Batches of `nodes` nodes, each a stream, in any order; `rows` is what they hold together."""

    def __init__(self, seed: int, *, nodes: int = 3, per_node: int = 4, gpus: int = 2) -> None:
        self._source = random.Random(seed)
        self._end = float(int(time.time())) - 60
        self._started_at = self._end - 40_000
        self._gpus = gpus
        # By table: rows with the names of what they speak of.
        self.rows: dict[str, Rows] = {name: [] for name in TABLES}
        self.agents = [Agent(f"n{n}", cluster="alpha") for n in range(nodes)]
        self.batches = [
            batch
            for n, agent in enumerate(self.agents)
            for batch in self._of_node(n, agent, per_node)
        ]
        self._source.shuffle(self.batches)

    def _of_node(self, n: int, agent: Agent, count: int) -> list[dict[str, Any]]:
        ids = [job_id for job_id, nodes in JOBS_ON.items() if n % 3 in nodes]
        if n >= 3:
            # Beyond the first three, nodes have jobs of their own.
            ids = [f"{agent.node}-{job_id}" for job_id in ids]
        jobs = [job(job_id, started_at=self._started_at, user_name="alice") for job_id in ids]
        gpus = [{"uuid": f"GPU-{agent.node}-{g}"} for g in range(self._gpus)]
        # Times are dealt to the batches at random: some come late.
        times = [self._end - 0.25 * t for t in self._source.sample(range(100_000), 6 * count)]
        batches = []
        for b in range(count):
            mine = times[6 * b : 6 * b + 6]
            tables: dict[str, Rows] = {
                "job_sample": [
                    dyadic_row("job_sample", self._source, at, job=self._source.randrange(len(ids)))
                    for at in mine
                ],
                "node_sample": [dyadic_row("node_sample", self._source, at) for at in mine[:2]],
                "gpu_sample": [row for at in mine[:3] for row in self._reading(at, len(ids))],
            }
            self._note(agent.node, ids, gpus, tables)
            batches.append(agent.batch(tables, jobs=jobs, gpus=gpus))
        return batches

    def _reading(self, at: float, jobs: int) -> Rows:
        """One GPU at one time, shared by one to three holders; the rows never part."""
        if not self._gpus:
            return []
        source = self._source
        shares = source.choice([[1.0], [0.5, 0.5], [0.25, 0.75], [0.25, 0.25, 0.5]])
        holders = source.sample([None, *range(jobs)], min(len(shares), jobs + 1))
        device = dyadic_row("gpu_sample", source, at, gpu=source.randrange(self._gpus))
        # What a device is does not go back to null.
        device["memory_total_bytes"] = device["memory_total_bytes"] or 64.0
        return [
            device | {"job": holder, "share": share}
            for holder, share in zip(holders, shares, strict=False)
        ]

    def _note(self, node: str, ids: Sequence[str], gpus: Rows, tables: Mapping[str, Rows]) -> None:
        for table, rows in tables.items():
            for row in rows:
                named = dict(row) | {"node": node}
                if row.get("job") is not None:
                    named["job"] = ids[row["job"]]
                if "gpu" in row:
                    named["gpu"] = gpus[row["gpu"]]["uuid"]
                self.rows[table].append(named)


NAMES = """
select s.*, n.name as node, j.job_id as job, {gpu} as gpu from tsobs_store.{table} as s
join tsobs_store.node as n using (node_id)
left join tsobs_store.job as j on j.job_key = {job_key}
{join_gpu}
"""


async def _named(stored: Stored, table: str) -> Rows:
    """A table with the names of what its rows speak of; times in unix seconds."""
    has_job = table not in ("node", "gpu", "node_sample")
    has_gpu = "gpu" in table
    sql = NAMES.format(
        table=table,
        job_key="s.job_key" if has_job else "null",
        gpu="g.uuid" if has_gpu else "null",
        join_gpu="join tsobs_store.gpu as g on g.gpu_id = s.gpu_id" if has_gpu else "",
    )
    rows = await stored.all(sql)
    for row in rows:
        for name in ("time", "first_sample_at", "last_sample_at"):
            if row.get(name) is not None:
                row[name] = row[name].timestamp()
    return rows


def _counted(rows: Rows, names: Sequence[str]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row.get(name) for name in names) for row in rows)


async def check_stored(stored: Stored, sent: Mapping[str, Rows]) -> None:
    """Fails unless the database holds these rows once each, and their totals."""
    assert await stored.orphans() == []
    for table, spec in TABLES.items():
        keys = ["time", "interval_s", "node", "job", "gpu"]
        keys += ["share"] if table == "gpu_sample" else []
        names = [*keys, *(column.name for column in spec.columns)]
        held = await _named(stored, table)
        lost = _counted(sent[table], names) - _counted(held, names)
        strange = _counted(held, names) - _counted(sent[table], names)
        assert (lost, strange) == (Counter(), Counter()), table
    await _check_totals(stored, "node", sent["node_sample"], ("node",), node_totals)
    await _check_totals(stored, "gpu", sent["gpu_sample"], ("gpu",), gpu_totals)
    await _check_totals(stored, "job_node", sent["job_sample"], ("job", "node"), job_node_totals)
    held_rows = [row for row in sent["gpu_sample"] if row["job"] is not None]
    await _check_totals(stored, "job_gpu", held_rows, ("job", "gpu"), job_gpu_totals)


async def _check_totals(
    stored: Stored,
    target: str,
    rows: Rows,
    things: Sequence[str],
    naive: Callable[[Rows], dict[str, Any]],
) -> None:
    groups: dict[tuple[str, ...], Rows] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in things)].append(row)
    found = {
        tuple(row[name] for name in things): row
        for row in await _named(stored, target)
        if row["sample_count"]
    }
    assert found.keys() == groups.keys(), target
    for thing, group in groups.items():
        expected = naive(group)
        held = {name: found[thing][name] for name in expected}
        assert held == expected, (target, thing)
