"""Label sets as /metrics writes them, each made once and kept as long as it is asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice

__all__ = ["LabelTexts", "label_text"]

# What no page has asked for within one to two of these is forgotten.
FORGET_AFTER_S = 300.0
# About 200 bytes each; of a site with more, some are made anew each time.
CAPACITY = 1_000_000
ROWS_AT_ONCE = 4096

_Values = tuple[str, ...]
_Known = dict[_Values, bytes]


class LabelTexts:
    """Texts by the label values themselves: what one viewer's page left here tells another nothing,
    and no change of a job can leave an old text in use."""

    def __init__(
        self, *, capacity: int = CAPACITY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()  # pages are rendered in threads
        self._used: dict[_Values, _Known] = {}
        self._before: dict[_Values, _Known] = {}
        self._turned_s = clock()

    def __len__(self) -> int:
        # Copies, for another thread may be adding a set of names.
        held = [*self._used.values(), *self._before.values()]
        return sum(map(len, held))

    def texts(self, names: _Values, columns: Sequence[Sequence[str]]) -> list[bytes]:
        """The text of each row, `columns` having the values of the labels named."""
        rows = zip(*columns, strict=True)
        texts: list[bytes] = []
        # One C call for all rows of a large site would keep the event loop from its turn.
        while some := list(islice(rows, ROWS_AT_ONCE)):
            texts += self._some(names, some)
        return texts

    def _some(self, names: _Values, rows: list[_Values]) -> Sequence[bytes]:
        with self._lock:
            self._turn()
            used = self._used.setdefault(names, {})
            found = list(map(used.get, rows))
            if None not in found:
                return found  # type: ignore[return-value]
            before = self._before.get(names, {})
            made = []
            for values, text in zip(rows, found, strict=True):
                known = text or before.get(values) or label_text(names, values)
                used[values] = known
                made.append(known)
        return made

    def _turn(self) -> None:
        """Half of the capacity is for what is used now, half for what was until the last turn."""
        now_s = self._clock()
        held = sum(len(known) for known in self._used.values())
        if held > self._capacity // 2 or now_s - self._turned_s >= FORGET_AFTER_S:
            self._before, self._used = self._used, {}
            self._turned_s = now_s


def label_text(names: Sequence[str], values: Sequence[str]) -> bytes:
    """What stands after the opening brace, the closing one and a space included."""
    pairs = zip(names, values, strict=True)
    return (",".join([f'{name}="{_escape(value)}"' for name, value in pairs]) + "} ").encode()


def _escape(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value
