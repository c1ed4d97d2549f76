"""One body read by pure Python: what each message is, and the rows that came of it."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from ingest.remotewrite.decoded import Decoded, Limits, Malformed, Unknown
from ingest.remotewrite.puremessage import Message, metadata2, read1, read2, references
from ingest.remotewrite.purerows import read_samples
from ingest.remotewrite.pureseries import SeriesTable
from ingest.remotewrite.wire import BYTES, fields

__all__ = ["BodyReader", "Keys"]

_LONG, _SHORT = 18, 9
_NO_PLACE = -1


class Keys(NamedTuple):
    """Secrets of the fingerprints, so that nobody can make two label sets with the same one."""

    labels1: bytes
    labels2: bytes
    metadata: bytes


class BodyReader:
    """What has been read of one body so far."""

    def __init__(self, body: bytes, table: SeriesTable, learned: SeriesTable, keys: Keys) -> None:
        self._body = body
        self._table = table
        self._learned = learned
        self._keys = keys
        self._unknown: dict[bytes, Unknown] = {}
        self._unknown_at: dict[bytes, int] = {}
        self._news: dict[bytes, Unknown] = {}
        self._odd: list[tuple[int, int]] = []
        self._metadata: list[tuple[int, int]] = []
        self._symbols: list[tuple[int, int]] = []
        self._names: list[bytes] = []
        self._series = self._known = 0
        # Of each row: the entry's slot, or −1−k; where its sample is; and (row, ms, bits) of those
        # that were read one by one.
        self._codes: list[int] = []
        self._places: list[int] = []
        self._loose: list[tuple[int, int, int]] = []

    def read1(self, careful: bool) -> None:
        """Reads a 1.0 body. Where not careful, a known series is recognised from its end; what is
        left to be checked of its samples is checked in `decoded`."""
        body, stop = self._body, len(self._body)
        at = 0
        while at < stop:
            if not careful:
                at = self._recognise(at)
                if at == stop:
                    break
            field = next(fields(body, at, stop))
            if field.wire == BYTES and field.number == 1:
                self._count()
                self._message(read1(body, field.start, field.stop), field.start, field.stop)
            elif field.wire == BYTES and field.number == 3:
                self._metadata.append(_bounded(field.start, field.stop))
                self._count(0)
            at = field.stop

    def read2(self) -> None:
        """Reads a 2.0 body; its symbols may come after what refers to them."""
        body = self._body
        found: list[tuple[int, int]] = []
        for field in fields(body, 0, len(body)):
            if field.wire == BYTES and field.number == 4:
                self._symbols.append((field.start, field.stop))
                if len(self._symbols) > Limits.SYMBOLS:
                    raise Malformed(f"more than {Limits.SYMBOLS} symbols")
            elif field.wire == BYTES and field.number == 5:
                found.append((field.start, field.stop))
                self._count()
        self._names = [
            (stop - start).to_bytes(4, "little") + body[start:stop] for start, stop in self._symbols
        ]
        for start, stop in found:
            self._message2(start, stop)

    def decoded(self, hour: int) -> Decoded:
        """The columns; Doubtful where `read1` has to be careful. Notes the hour in the table."""
        codes = np.array(self._codes, np.int64)
        places = np.array(self._places, np.intp)
        times = np.zeros(len(codes), np.int64)
        bits = np.zeros(len(codes), np.uint64)
        placed = places != _NO_PLACE
        if placed.any():
            times[placed], bits[placed] = read_samples(self._body, places[placed])
        if self._loose:
            rows, loose_times, loose_bits = zip(*self._loose, strict=True)
            times[list(rows)] = loose_times
            bits[list(rows)] = np.array(loose_bits, np.uint64)
        hits = codes >= 0
        touched = self._table.use(codes[hits], hour)
        codes[hits] = self._table.ids[codes[hits]]
        for column in (codes, times, bits, touched):
            column.flags.writeable = False
        rest = bool(self._unknown or self._odd or self._news)
        symbols = np.array(self._symbols if rest else (), np.int64).reshape(-1)
        return Decoded(
            codes, times, bits, list(self._unknown.values()), self._odd, self._metadata, touched,
            self._series, self._known, list(self._news.values()), symbols,
        )  # fmt: skip

    def _count(self, series: int = 1) -> None:
        self._series += series
        if self._series + len(self._metadata) > Limits.MESSAGES:
            raise Malformed(f"more than {Limits.MESSAGES} series")

    def _recognise(self, at: int) -> int:
        """Takes messages from `at` on, as long as each ends in samples of the usual shapes and all
        before them are the labels of a known series; where it stopped. The labels were read one by
        one when they became known, so reading forwards would come to the same place."""
        # The loop of loops here: names of its own, and no calls but the hash.
        body, stop, key = self._body, len(self._body), self._keys.labels1
        known, used = self._table.slots.get, self._table.used
        add_code, add_place = self._codes.append, self._places.append
        taken = 0
        while at + 3 <= stop and body[at] == 0x0A:
            length, start = body[at + 1], at + 2
            if length >= 0x80:
                if body[start] >= 0x80:
                    break
                length += (body[start] << 7) - 0x80
                start += 1
            end = start + length
            if end > stop:
                break
            place = end - _LONG
            if place < start or body[place] != 0x12 or body[place + 1] != 16:
                place = end - _SHORT
                if place < start or body[place] != 0x12 or body[place + 1] != 7:
                    break
            first = self._first_sample(start, place)
            labels = body[start:first]
            slot = known(blake2b(labels, digest_size=16, key=key).digest())
            if slot is None or first - start > Limits.MESSAGE_BYTES:
                break
            used[slot] = 1
            while first < place:
                add_code(slot)
                add_place(first)
                first += _LONG if body[first + 1] == 16 else _SHORT
            add_code(slot)
            add_place(place)
            taken += 1
            at = end
        self._known += taken
        self._count(taken)
        self._bound()
        return at

    def _first_sample(self, start: int, place: int) -> int:
        """Where the samples begin that lead up to the one at `place`, going by their heads."""
        body = self._body
        while True:
            long, short = place - _LONG, place - _SHORT
            if long >= start and body[long] == 0x12 and body[long + 1] == 16:
                place = long
            elif short >= start and body[short] == 0x12 and body[short + 1] == 7:
                place = short
            else:
                return place

    def _bound(self) -> None:
        if len(self._codes) > Limits.SAMPLES:
            raise Malformed(f"more than {Limits.SAMPLES} samples")

    def _message(self, message: Message | None, start: int, stop: int) -> None:
        if message is None or message.stop - message.start > Limits.MESSAGE_BYTES:
            self._odd.append(_bounded(start, stop))
            return
        region = self._body[message.start : message.stop]
        self._rows(message, _hash(region, self._keys.labels1))

    def _message2(self, start: int, stop: int) -> None:
        message = read2(self._body, start, stop)
        refs = message and references(self._body, message.start, message.stop, len(self._names))
        if message is None or not refs or not self._tell(message, refs, start, stop):
            self._odd.append(_bounded(start, stop))
            return
        text = b"".join([self._names[ref] for ref in refs])
        self._rows(message, _hash(text, self._keys.labels2))

    def _tell(self, message: Message, refs: list[int], start: int, stop: int) -> bool:
        """Keeps the message's metadata if they are news; whether they are sound."""
        if message.metadata is None:
            return True
        metadata = metadata2(self._body, *message.metadata, len(self._names))
        if metadata is None:
            return False
        texts = [self._names[metadata.help], self._names[metadata.unit]]
        if not metadata.type and all(len(text) == 4 for text in texts):
            return True
        metric = self._metric(refs)
        if metric is None:
            return False
        told = _hash(
            b"".join((metadata.type.to_bytes(4, "little"), metric, *texts)), self._keys.metadata
        )
        slot = self._learned.slots.get(told)
        if slot is None:
            self._news.setdefault(told, Unknown(told, start, stop))
        else:
            self._learned.used[slot] = 1
        return True

    def _metric(self, refs: list[int]) -> bytes | None:
        for name, value in zip(refs[::2], refs[1::2], strict=True):
            if self._names[name] == b"\x08\0\0\0__name__":
                return self._names[value]
        return None

    def _rows(self, message: Message, fingerprint: bytes) -> None:
        code = self._table.slots.get(fingerprint)
        if code is not None:
            self._table.used[code] = 1
            self._known += 1
        else:
            if fingerprint not in self._unknown:
                self._unknown_at[fingerprint] = len(self._unknown)
                self._unknown[fingerprint] = Unknown(fingerprint, message.start, message.stop)
            code = -1 - self._unknown_at[fingerprint]
        for time, bits in message.samples:
            self._loose.append((len(self._codes), time, bits))
            self._codes.append(code)
            self._places.append(_NO_PLACE)
        self._bound()


def _bounded(start: int, stop: int) -> tuple[int, int]:
    if stop - start > Limits.MESSAGE_BYTES:
        raise Malformed(f"a message of more than {Limits.MESSAGE_BYTES} bytes")
    return start, stop


def _hash(text: bytes, key: bytes) -> bytes:
    return blake2b(text, digest_size=16, key=key).digest()
