"""Remote-write bodies of every kind, byte by byte: usual, odd, hostile and broken ones."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hypothesis import strategies as st

from ingest.remotewrite import remote1_pb2, remote2_pb2

STALE = 0x7FF0000000000002
NOW_MS = 1_790_000_000_000

Pairs = Sequence[tuple[bytes, bytes]]


def varint(value: int, least_bytes: int = 1) -> bytes:
    """An unsigned number, or a negative one as its two's complement; with padding if wanted."""
    value &= (1 << 64) - 1
    found = bytearray()
    while value >= 0x80 or len(found) + 1 < least_bytes:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field(number: int, content: bytes | int, wire: int | None = None) -> bytes:
    """A field: bytes with their length, a number as a varint, or `content` as it is."""
    if wire is not None:
        assert isinstance(content, bytes)
        return varint(number << 3 | wire) + content
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def sample(time_ms: int, bits: int) -> bytes:
    """A sample's content as senders write it: zeros are left out."""
    value = b"\x09" + struct.pack("<Q", bits) if bits not in (0, 1 << 63) else b""
    return value + (field(2, time_ms) if time_ms else b"")


def label(name: bytes, value: bytes) -> bytes:
    """A 1.0 label's content."""
    return (field(1, name) if name else b"") + (field(2, value) if value else b"")


def series1(pairs: Pairs, samples: Sequence[tuple[int, int]], rest: bytes = b"") -> bytes:
    """A 1.0 TimeSeries' content."""
    labels = b"".join(field(1, label(*pair)) for pair in pairs)
    return labels + b"".join(field(2, sample(*each)) for each in samples) + rest


def body1(messages: Sequence[bytes]) -> bytes:
    """A 1.0 body of TimeSeries contents."""
    return b"".join(field(1, message) for message in messages)


def refs(numbers: Sequence[int]) -> bytes:
    """Packed references."""
    return b"".join(map(varint, numbers))


def series2(numbers: Sequence[int], samples: Sequence[tuple[int, int]], rest: bytes = b"") -> bytes:
    """A 2.0 TimeSeries' content."""
    return field(1, refs(numbers)) + b"".join(field(2, sample(*each)) for each in samples) + rest


def metadata2(kind: int, help_ref: int, unit_ref: int) -> bytes:
    """The metadata field of a 2.0 TimeSeries."""
    return field(5, field(1, kind) + field(3, help_ref) + field(4, unit_ref))


def body2(symbols: Sequence[bytes], messages: Sequence[bytes]) -> bytes:
    """A 2.0 body."""
    return b"".join(field(4, each) for each in symbols) + b"".join(
        field(5, message) for message in messages
    )


LOOKS_LIKE_A_SAMPLE = field(2, sample(NOW_MS, 0x3FF0000000000000))
LOOKS_LIKE_A_SHORT_SAMPLE = field(2, sample(NOW_MS, 0))
TEXTS = (
    b"__name__", b"up", b"a", b"job", b"", b"x" * 200, "ü".encode(), b"\xff", b"a\0b",
    LOOKS_LIKE_A_SAMPLE, LOOKS_LIKE_A_SHORT_SAMPLE, b"y" * 110 + LOOKS_LIKE_A_SAMPLE,
    b"\x12\x10", b"\x12\x07\x10",
)  # fmt: skip

times = st.one_of(
    st.integers(NOW_MS, NOW_MS + 9),
    st.sampled_from([0, 1, -1, 127, 2**35 - 1, 2**35, 2**42 - 1, 2**42, 2**63 - 1, -(2**63)]),
    st.integers(-(2**63), 2**63 - 1),
)
words = st.one_of(
    st.sampled_from([0, 1 << 63, STALE, 0x7FF8000000000001, 0x7FF0000000000000, 1, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)
texts = st.sampled_from(TEXTS)
# Mostly sets that are taken, so that there is something to take the fast path.
pairs = st.one_of(
    st.lists(st.tuples(texts, texts), max_size=4),
    st.lists(st.tuples(texts, texts), max_size=3).map(lambda found: [(b"__name__", b"up"), *found]),
    st.integers(0, 5).map(lambda n: [(b"__name__", b"up"), (b"n", str(n).encode())]),
)


@st.composite
def odd_samples(draw: st.DrawFn) -> bytes:
    """A sample field in a form that no sender uses, or that is wrong."""
    time, bits = draw(times), draw(words)
    value = b"\x09" + struct.pack("<Q", bits)
    content = draw(
        st.sampled_from([
            value + b"\x10" + varint(time), b"\x10" + varint(time) + value,
            value + value + b"\x10\x05\x10" + varint(time), b"\x10" + varint(time, 10) + value,
            value + b"\x10" + b"\xff" * 10 + b"\x01", value + b"\x18" + varint(time),
            value[:5], b"\x10\x80", value + b"\x20\x01", b"\x0b\x0c", b"\x8a\x00\x00",
            b"\x11" + value, b"\x90\x00" + varint(time),
        ])
    )  # fmt: skip
    size = draw(st.sampled_from([1, 1, 1, 2, 5, 6]))
    return b"\x12" + varint(len(content), size) + content


def _histogram(kind: type[remote1_pb2.Histogram] | type[remote2_pb2.Histogram]) -> bytes:
    message = kind(
        count_int=6, sum=2.5, schema=2, zero_count_int=1, positive_deltas=[2, 1], timestamp=NOW_MS
    )
    message.positive_spans.add(offset=-3, length=2)
    return message.SerializeToString()


def _exemplar1() -> bytes:
    message = remote1_pb2.Exemplar(value=1.5, timestamp=NOW_MS)
    message.labels.add(name=b"trace_id", value=b"1f")
    return message.SerializeToString()


# What may follow the samples: fields that are unknown, and more of those that are not.
UNKNOWN = (field(6, 17), field(200, b"unknown"), field(9, b"abcd", 5), b"\x53\x08\x01\x54",
           field(7, b"12345678", 1), b"\x80\x80\x80\x80\x10\x01")  # fmt: skip
BROKEN = (b"\x0b", b"\x0e\x01", b"\x0c", b"\x00\x01", field(3, b"\x09"), b"\x53\x5b\x54\x5c",
          b"\x80\x80\x80\x80\x80\x01\x01", b"\x53" * 101 + b"\x54" * 101)  # fmt: skip
RESTS1 = (field(1, label(b"z", b"late")), field(4, b""), b"\x8a\x00\x00", field(3, _exemplar1()),
          field(4, _histogram(remote1_pb2.Histogram)))  # fmt: skip
RESTS2 = (field(1, refs([1, 2])), field(3, _histogram(remote2_pb2.Histogram)), field(1, 2),
          field(4, field(1, refs([1, 2])) + field(2, b"12345678", 1) + field(3, NOW_MS)),
          field(4, field(1, refs([1]))), field(5, b""), metadata2(1, 0, 0), metadata2(0, 0, 0),
          metadata2(1, 2, 1), metadata2(7, 0, 2), metadata2(2, 99, 0),
          metadata2(1 << 40, 2, 0))  # fmt: skip


def rests(own: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly nothing, sometimes something of its own, rarely something broken."""
    return st.integers(0, 39).flatmap(
        lambda n: st.sampled_from(BROKEN if n == 39 else UNKNOWN if n > 34 else own)
    )


@st.composite
def messages1(draw: st.DrawFn) -> bytes:
    """A 1.0 TimeSeries, most of the common shape."""
    found = series1(draw(pairs), draw(st.lists(st.tuples(times, words), max_size=3)))
    if draw(st.integers(0, 5)) == 0:
        found += draw(odd_samples())
    if draw(st.integers(0, 3)) == 0:
        found += draw(rests(RESTS1))
    return found


@st.composite
def bodies1(draw: st.DrawFn) -> bytes:
    """A 1.0 body."""
    parts = [field(1, each) for each in draw(st.lists(messages1(), max_size=5))]
    if draw(st.integers(0, 3)) == 0:
        described = remote1_pb2.MetricMetadata(
            type=draw(st.integers(-1, 9)), metric_family_name=draw(texts), help=draw(texts)
        )
        parts.append(field(3, described.SerializeToString()))
        parts.append(draw(rests([b""])))
    return b"".join(draw(st.permutations(parts)))


@st.composite
def messages2(draw: st.DrawFn, symbols: int) -> bytes:
    """A 2.0 TimeSeries, most of the common shape."""
    if draw(st.integers(0, 5)):
        numbers = [1, 2, *draw(st.sampled_from([[], [3, 2], [3, 4], [4, 3]]))]
    else:
        numbers = draw(st.lists(st.integers(0, symbols + 1) | st.just(2**33), max_size=5))
    found = series2(numbers, draw(st.lists(st.tuples(times, words), max_size=3)))
    if draw(st.integers(0, 5)) == 0:
        found += draw(odd_samples())
    if draw(st.integers(0, 1)) == 0:
        found += draw(rests(RESTS2))
    return found


@st.composite
def bodies2(draw: st.DrawFn) -> bytes:
    """A 2.0 body."""
    symbols = [b"", b"__name__", b"up", b"job", b"a", *draw(st.lists(texts, max_size=4))]
    if draw(st.integers(0, 5)) == 0:
        symbols = draw(st.lists(texts, max_size=4))
    messages = draw(st.lists(messages2(len(symbols)), max_size=5))
    parts = [body2(symbols, []), body2([], messages), draw(rests([b""]))]
    return b"".join(parts if draw(st.integers(0, 3)) else draw(st.permutations(parts)))


edits = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "repeat", "cut"]),
        st.integers(0, 400),
        st.sampled_from([b"\x0a", b"\x12", b"\x10", b"\x00", b"\xff", b"\x80", b"\x0b", b"\x1a"])
        | st.binary(min_size=1, max_size=3),
    ),
    max_size=4,
)


def edited(body: bytes, changes: Sequence[tuple[str, int, bytes]]) -> bytes:
    """The body after some damage."""
    for kind, place, data in changes:
        at = place % (len(body) + 1)
        if kind == "set":
            body = body[:at] + data + body[at + len(data) :]
        elif kind == "insert":
            body = body[:at] + data + body[at:]
        elif kind == "delete":
            body = body[:at] + body[at + len(data) :]
        elif kind == "repeat":
            body = body[:at] + body[at // 2 : at] + body[at:]
        else:
            body = body[:at]
    return body
