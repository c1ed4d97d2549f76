"""Reading a body by pure Python: the quick way from a message's end, and the careful one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from ingest.remotewrite.purebody import BodyReader, Keys
from ingest.remotewrite.purerows import Doubtful
from ingest.remotewrite.pureseries import SeriesTable
from tests.unit.ingest.remotewrite.bodies import NOW_MS, bodies1, body1, field, series1
from tests.unit.ingest.remotewrite.oracle import outline

KEYS = Keys(b"1", b"2", b"3")
UP = (b"__name__", b"up")


def reader(body: bytes, table: SeriesTable) -> BodyReader:
    return BodyReader(body, table, SeriesTable(10), KEYS)


def learned(body: bytes) -> SeriesTable:
    table = SeriesTable(1000)
    first = reader(body, table)
    first.read1(careful=True)
    unknown = first.decoded(7).unknown
    table.put([each.fingerprint for each in unknown], range(len(unknown)), 7)
    return table


@settings(deadline=None)
@given(bodies1(), bodies1())
def test_both_ways_come_to_the_same(known: bytes, body: bytes) -> None:
    found = []
    for careful in (False, True):
        try:
            made = reader(body, learned(known))
            made.read1(careful)
            found.append(outline(made.decoded(7)))
        except Doubtful:
            assert not careful
        except ValueError:
            found.append(None)
    assert found[0] == found[-1]


def test_the_quick_way_does_not_read_labels() -> None:
    body = body1([series1([UP], [(NOW_MS, 1), (NOW_MS, 0)])])
    made = reader(body, learned(body))
    made.read1(careful=False)
    assert made.decoded(7).known == 1


@pytest.mark.parametrize("shape", [b"\x09" + b"\1" * 8 + b"\x18" + b"\x80" * 5 + b"\1"])
def test_what_only_ends_like_a_sample_is_doubted(shape: bytes) -> None:
    table = learned(body1([series1([UP], [(NOW_MS, 1)])]))
    made = reader(body1([series1([UP], []) + field(2, shape)]), table)
    made.read1(careful=False)
    with pytest.raises(Doubtful):
        made.decoded(7)
