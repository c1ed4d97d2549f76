"""A batch as the bytes that an agent would send."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from tsobs.demo.simulation.jobrows import Columns
from tsobs.demo.simulation.window import Times

__all__ = ["encode_batch"]

# Loopback is quicker than a thorough compression.
_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS
_INDEXES = ("job", "gpu")


def encode_batch(stream: str, seq: int, batch: Mapping[str, Any]) -> bytes:
    """The numbered batch as gzip'd JSON; the same batch always gives the same bytes."""
    tables = {name: _table(columns) for name, columns in batch["tables"].items()}
    document = {"stream": stream, "seq": seq, **batch, "tables": tables}
    text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(text) + packer.flush()


def _table(columns: Columns) -> dict[str, Any]:
    return {
        name: _indexes(values) if name in _INDEXES else _numbers(values)
        for name, values in columns.items()
    }


def _indexes(values: Times) -> list[int | None]:
    return [None if value != value else int(value) for value in values.tolist()]


def _numbers(values: Times) -> Any:
    """Whole numbers without a point: a third of the text."""
    whole = np.rint(values)
    return whole.astype(np.int64) if (whole == values).all() else values
