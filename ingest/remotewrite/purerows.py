"""Samples of a body whose places are known, read all at once by numpy; and their COPY bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingest.remotewrite.decoded import Ints, Limits, Words

__all__ = ["Doubtful", "copy_rows", "read_samples"]

# A sample with a value, and one whose value 0 is left out, for every time from 1971 to 2109.
_STAMP = [("time_tag", "u1"), ("time", "u1", 6)]
_LONG = np.dtype([("head", "u1", 3), ("bits", "<u8"), *_STAMP])
_SHORT = np.dtype([("head", "u1", 2), *_STAMP])
_SHIFTS = np.arange(0, 42, 7)

_HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\x00" * 8
_TRAILER = b"\xff\xff"
# PostgreSQL counts microseconds from 2000-01-01.
_POSTGRES_EPOCH_MS = 946_684_800_000
_ROW = np.dtype(
    [("fields", ">i2"), ("l1", ">i4"), ("time", ">i8"), ("l2", ">i4"), ("series", ">i8"),
     ("l3", ">i4"), ("bits", ">u8")]
)  # fmt: skip


class Doubtful(Exception):
    """Some sample is not of the two shapes; each has to be read by itself."""


def read_samples(body: bytes, places: npt.NDArray[np.intp]) -> tuple[Ints, Words]:
    """Times (ms) and bits of the samples that begin at these places with tag 0x12 and length 16
    or 7."""
    times = np.zeros(len(places), np.int64)
    bits = np.zeros(len(places), np.uint64)
    long = np.frombuffer(body, np.uint8)[places + 1] == 16
    if long.any():
        found = _windows(body, _LONG)[places[long]]
        bits[long] = found["bits"]
        times[long] = _stamps(found)
        if (found["head"][:, 2] != 0x09).any():
            raise Doubtful
    if not long.all():
        times[~long] = _stamps(_windows(body, _SHORT)[places[~long]])
    return times, bits


def _windows(body: bytes, kind: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """The body as overlapping records, one from each byte."""
    return np.ndarray(len(body) - kind.itemsize + 1, kind, body, strides=(1,))


def _stamps(found: npt.NDArray[np.void]) -> Ints:
    stamp = found["time"]
    more = stamp >= 0x80
    if (found["time_tag"] != 0x10).any() or not more[:, :5].all() or more[:, 5].any():
        raise Doubtful
    return np.asarray(((stamp & 0x7F).astype(np.int64) << _SHIFTS).sum(axis=1))


def copy_rows(series_id: Ints, time_ms: Ints, bits: Words) -> tuple[bytes, int]:
    """A binary COPY stream of (time timestamptz, series_id int8, value float8), and its number of
    rows: sorted by series, time and bits, and what is equal in all three once. ValueError for a
    time that timestamptz cannot hold."""
    series = np.asarray(series_id, np.int64)
    times = np.asarray(time_ms, np.int64)
    words = np.asarray(bits, np.uint64)
    if not len(series) == len(times) == len(words):
        raise ValueError("the columns are not of one length")
    if len(times) and not (Limits.TIME_MIN_MS <= times.min() <= times.max() <= Limits.TIME_MAX_MS):
        raise ValueError("a time is past what timestamptz holds")
    order = np.lexsort((words, times, series))
    series, times, words = series[order], times[order], words[order]
    kept = np.ones(len(series), np.bool_)
    kept[1:] = (np.diff(series) != 0) | (np.diff(times) != 0) | (words[1:] != words[:-1])
    rows = np.empty(int(kept.sum()), _ROW)
    rows["fields"] = 3
    rows["l1"] = rows["l2"] = rows["l3"] = 8
    rows["time"] = (times[kept] - _POSTGRES_EPOCH_MS) * 1000
    rows["series"] = series[kept]
    rows["bits"] = words[kept]
    return _HEADER + rows.tobytes() + _TRAILER, len(rows)
