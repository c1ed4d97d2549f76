"""A batch: what one round found, as one JSON document of columns, numbered by (stream, seq)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["columns", "content", "number", "numbers_of", "renumber"]

_NUMBERS = re.compile(rb'\{"stream":"([0-9a-f]{32})","seq":(\d+),')


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns of equal length; a column that no row has a value for is left out."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(name for name, value in row.items() if value is not None))
    return {name: [row.get(name) for row in rows] for name in names}


def content(
    header: Mapping[str, Any],
    *,
    jobs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any] | None]],
    node_row: Mapping[str, Any] | None,
    gpus: Sequence[Mapping[str, Any]] = (),
    gpu_rows: Iterable[Mapping[str, Any]] = (),
) -> bytes:
    """Return a batch without its numbers: header, jobs as (entry, sample or None), the node's
    sample or None, GPUs' entries and their samples, in which `gpu` and `job` are indexes."""
    entries: list[Mapping[str, Any]] = []
    samples: list[Mapping[str, Any]] = []
    for entry, row in jobs:
        if row is not None:
            samples.append({**row, "job": len(entries)})
        entries.append(entry)
    document: dict[str, Any] = dict(header)
    if entries:
        document["jobs"] = columns(entries)
    if gpus:
        document["gpus"] = columns(gpus)
    tables = {
        "job_sample": columns(samples),
        "gpu_sample": columns(list(gpu_rows)),
        "node_sample": columns([node_row] if node_row is not None else []),
    }
    document["tables"] = {name: table for name, table in tables.items() if table}
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def number(body: bytes, stream: str, seq: int) -> bytes:
    """Return the batch's bytes as sent: its content with stream and seq at the front."""
    return b'{"stream":"%s","seq":%d,%s' % (stream.encode("ascii"), seq, body[1:])


def numbers_of(body: bytes) -> tuple[str, int]:
    """Return (stream, seq) of a batch made by `number`; ValueError for anything else."""
    match = _NUMBERS.match(body)
    if match is None:
        raise ValueError("not a numbered batch")
    return match[1].decode("ascii"), int(match[2])


def renumber(body: bytes, stream: str, seq: int) -> bytes:
    """Return a numbered batch under other numbers, all other bytes as they are."""
    match = _NUMBERS.match(body)
    if match is None:
        raise ValueError("not a numbered batch")
    return number(b"{" + body[match.end() :], stream, seq)
