"""The bounded table in pure Python."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.remotewrite.pureseries import SeriesTable


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def filled(capacity: int, count: int) -> SeriesTable:
    table = SeriesTable(capacity)
    table.put([key(n) for n in range(count)], range(count), 7)
    return table


def test_it_holds_at_most_its_capacity() -> None:
    table = filled(3, 10)
    assert len(table.slots) == 3
    assert table.evictions == 7


def test_what_was_looked_up_outlives_what_was_not() -> None:
    table = filled(3, 3)
    table.used[table.slots[key(0)]] = 1
    table.put([key(10), key(11)], [10, 11], 7)
    assert set(table.slots) == {key(0), key(10), key(11)}
    # Its second chance is used up.
    table.put([key(12)], [12], 7)
    assert key(0) not in table.slots


def test_a_new_id_takes_the_old_ones_place() -> None:
    table = filled(3, 2)
    table.put([key(1)], [99], 6)
    assert table.ids[table.slots[key(1)]] == 99
    assert len(table.slots) == 2


def test_only_older_hours_are_told_and_only_once() -> None:
    table = filled(5, 3)
    slots = np.array([table.slots[key(n)] for n in (0, 2, 0)], np.intp)
    assert table.use(slots, 7).tolist() == []
    assert sorted(table.use(slots, 8).tolist()) == [0, 2]
    assert table.use(slots, 8).tolist() == []
    # A late `put` does not make it older again.
    table.put([key(0)], [0], 6)
    assert table.use(slots, 8).tolist() == []


def test_a_removed_id_leaves_room() -> None:
    table = filled(3, 3)
    assert table.forget([1, 5]) == 1
    assert key(1) not in table.slots
    table.put([key(9)], [9], 7)
    assert table.evictions == 0
    assert len(table.slots) == 3
    table.clear()
    assert not table.slots


def test_it_has_some_capacity() -> None:
    with pytest.raises(ValueError, match="capacity"):
        SeriesTable(0)
